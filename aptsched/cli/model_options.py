"""Options of the commands that run a model."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from aptsched.cli.base import typer
from aptsched.cli.run_progress import say_now
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from engine.calibration.measure import Calibration
    from engine.models.model import Model

CACHE_MEM = "512MiB"

ModelName = Annotated[
    str, typer.Option("--model", metavar="M", help="smollm2, a Hugging Face directory, or a Llama .gguf file.")
]
Dtype = Annotated[str, typer.Option(metavar="D", help="Of weights and cache: fp32, bf16, fp16.")]
Device = Annotated[str, typer.Option(metavar="D", help="As torch names it: cpu, cuda, cuda:1.")]
Threads = Annotated[int | None, typer.Option(metavar="N", help="Threads of torch on a CPU (default: as torch does).")]
ExpandKvHeads = Annotated[
    bool, typer.Option("--expand-kv-heads", help="Repeat shared K and V heads: the exact MHA twin of a GQA model.")
]
CacheMem = Annotated[
    str | None, typer.Option(metavar="SIZE", help=f"Memory of the cache, such as 1.5GiB (default {CACHE_MEM}).")
]
SwapSpace = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Host memory for requests that are swapped out; 0 is none (default: as much as the cache)."
    ),
]
NumBlocks = Annotated[int | None, typer.Option(metavar="N", help="The same as a number of blocks of 16 KV tokens.")]
MaxTokens = Annotated[int, typer.Option(metavar="T", help="Token budget of an iteration.")]
MaxSeqs = Annotated[int, typer.Option(metavar="B", help="Most requests in a batch.")]


def require_torch() -> None:
    """Find out whether torch is there, without the time that importing it takes."""
    if find_spec("torch") is None:
        raise InputError("model: running one needs torch; pip install 'aptsched[engine]' brings it")


def load(model: str, dtype: str, device: str, threads: int | None, expand_kv_heads: bool) -> Model:
    """The model of the options, ready to run."""
    from engine.models.model import load_model
    from engine.study.real_model import set_threads

    set_threads(threads)
    return load_model(model, dtype, device, expand_kv_heads)


def check_memory(cache_mem: str | None, num_blocks: int | None, swap_space: str | None = None) -> None:
    """One of the first two, or neither, before a model is loaded for it."""
    from aptsched.support.byte_sizes import parse_bytes
    from engine.state.blocks import check_counts

    if cache_mem is not None and num_blocks is not None:
        raise InputError("cache_mem, num_blocks: both are given; one of them is accepted")
    if cache_mem is not None:
        parse_bytes("cache_mem", cache_mem)
    if swap_space is not None:
        parse_bytes("swap_space", swap_space)
    if num_blocks is not None:
        check_counts(num_blocks, 0)


def blocks(model: Model, cache_mem: str | None, num_blocks: int | None) -> int:
    """How many blocks the cache has."""
    from engine.runner import cache_memory

    return cache_memory.num_blocks(model, cache_mem or CACHE_MEM) if num_blocks is None else num_blocks


def blocks_on_host(model: Model, swap_space: str | None, num_blocks: int) -> int:
    """How many blocks the swap space has: as many as the cache, unless it is given."""
    from engine.runner.cache_storage import block_bytes
    from engine.state.blocks import host_blocks

    each = block_bytes(model.config, model.decoder.dtype)
    return num_blocks if swap_space is None else host_blocks(swap_space, each)


def measure(model: Model, directory: Path | None) -> Calibration:
    """Calibrate the model, and write calibration.json where there is a directory."""
    from aptsched.report.progress import measuring
    from engine.calibration import measure
    from engine.study import real_model

    say_now("calibrating, which takes half a minute or so; --calibration FILE spares it")
    with measuring() as progress:
        measured = real_model.calibrated(model, progress)
    if directory is not None:
        measure.save(measured, directory / "calibration.json")
    return measured
