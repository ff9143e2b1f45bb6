"""How many blocks of cache fit on a model's GPUs."""

from __future__ import annotations

from aptsched.scheduling.forms import BLOCK_SIZE
from aptsched.support.errors import InputError
from engine.models.config import ModelConfig
from engine.simulator.gpus import GIB, GPU
from engine.simulator.precision import BITS_16, Precision

USABLE = 0.9  # share of the memory that is used: vLLM's default
ACTIVATIONS_BYTES = 0.4 * GIB  # on each GPU


def check_num_gpus(config: ModelConfig, num_gpus: int) -> None:
    """Check that tensor parallelism can give each GPU the same number of heads.

    Raises
    ------
    InputError
        The heads cannot be divided so.
    """
    if num_gpus < 1 or config.num_kv_heads % num_gpus or config.num_heads % num_gpus:
        raise InputError(
            f"tp: {num_gpus} is not accepted; {config.name} has {config.num_heads} heads and {config.num_kv_heads} KV "
            "heads, a number of GPUs that divides both is"
        )


def num_blocks(config: ModelConfig, gpu: GPU, num_gpus: int = 1, precision: Precision = BITS_16) -> int:
    """Blocks of cache that fit beside weights and activations: of 0.9 of the memory, activations take 0.4 GiB a GPU.

    Raises
    ------
    InputError
        The model does not fit: the message says by how much, and on how many GPUs it would.
    """
    check_num_gpus(config, num_gpus)
    left, block_bytes = _left(config, gpu, num_gpus, precision), config.kv_bytes(precision.kv_bytes) * BLOCK_SIZE
    if left >= block_bytes:
        return int(left // block_bytes)
    larger = range(num_gpus + 1, config.num_kv_heads + 1)
    more = next((n for n in larger if _serves(config, gpu, n, precision)), None)
    accepted = f"tp {more} is" if more else "a GPU with more memory is"
    weights_gb, usable_gb = config.weight_bytes(precision.weight_bytes) / 1e9, _usable(gpu, num_gpus) / 1e9
    raise InputError(
        f"model: {config.name} does not fit on {num_gpus} x {gpu.name}, by {(block_bytes - left) / 1e9:.1f} GB: its "
        f"weights take {weights_gb:.1f} GB, and {usable_gb:.1f} GB are usable; {accepted} accepted"
    )


def _usable(gpu: GPU, num_gpus: int) -> float:
    return num_gpus * (USABLE * gpu.memory_bytes - ACTIVATIONS_BYTES)


def _left(config: ModelConfig, gpu: GPU, num_gpus: int, precision: Precision) -> float:
    return _usable(gpu, num_gpus) - config.weight_bytes(precision.weight_bytes)


def _serves(config: ModelConfig, gpu: GPU, num_gpus: int, precision: Precision) -> bool:
    whole = not (config.num_kv_heads % num_gpus or config.num_heads % num_gpus)
    return whole and _left(config, gpu, num_gpus, precision) >= config.kv_bytes(precision.kv_bytes) * BLOCK_SIZE
