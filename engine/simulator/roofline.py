"""The roofline: seconds of an iteration from the model's sizes and the GPU's peaks."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from aptsched.scheduling.forms import BLOCK_SIZE
from aptsched.support.errors import InputError
from engine.models.config import ModelConfig
from engine.simulator.gpus import GPU, NUMBER_BYTES
from engine.simulator.work import Amount, Work, choose, larger


@dataclass(frozen=True)
class Efficiency:
    """Shares of the peaks that are reached.

    Parameters
    ----------
    compute, bandwidth : float
        By default those of DistServe's fits of OPT-13B on A100-80GB: the prefill reaches 79% of the peak, the decode
        63% of the bandwidth.
    attention : float
        Share of the peak in the attention of a prefill: the quadratic term of the same fit is about 5 times the time
        of the operations at the peak.
    absorbed : float
        Share of the peak in products of absorbed attention with full tiles: as published of a kernel for multi-head
        latent attention, whose products are the same, 660 TFLOP/s of 989 (FlashMLA on H800); assumed of other GPUs.
    hidden_reads : int
        How often absorbed attention reads the hidden states: twice in two products, one after the other, once by a
        kernel that keeps them between scores and sums.
    pcie, link : float
        Shares of the bandwidths to the host and between GPUs; these are assumed.
    all_reduce_s : float
        Latency of each of the two all-reduces of a layer, in addition to the time of its bytes: about what remains
        unexplained in DistServe's fits with several GPUs.
    """

    compute: float = 0.79
    bandwidth: float = 0.63
    attention: float = 0.18
    absorbed: float = 0.66
    hidden_reads: int = 2
    pcie: float = 0.8
    link: float = 0.6
    all_reduce_s: float = 30e-6

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name not in ("all_reduce_s", "hidden_reads") and not 0 < value <= 1:
                raise InputError(f"{name}: {value} is not accepted; a share above 0 and up to 1 is")
        if self.hidden_reads not in (1, 2):
            raise InputError(f"hidden_reads: {self.hidden_reads} is not accepted; 1 or 2 is")
        if not 0 <= self.all_reduce_s < 1:
            raise InputError(f"all_reduce_s: {self.all_reduce_s} is not accepted; seconds from 0 to 1 are")


@dataclass(frozen=True)
class Roofline:
    """Matrices take the longer of reading the weights and multiplying; the times of the rest are added.

    Parameters
    ----------
    weights_s : float
        To read all weights once.
    per_token_s : float
        To multiply a token with them.
    per_square_s : float
        For attention in a prefill, for each of `Work.prefill_squares`.
    per_context_token_s : float
        To read K and V of a cached token.
    reduce_s, reduce_per_token_s : float
        For all-reduces between several GPUs: fixed, and for each token.
    """

    weights_s: float
    per_token_s: float
    per_square_s: float
    per_context_token_s: float
    reduce_s: float = 0.0
    reduce_per_token_s: float = 0.0

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration."""
        tokens = work.prefill_tokens + work.decode_seqs
        fixed_s = larger(self.weights_s, self.per_token_s * tokens) + self.reduce_s
        rest_s = (
            self.per_square_s * work.prefill_squares
            + self.per_context_token_s * work.context_tokens
            + self.reduce_per_token_s * tokens
        )
        return choose(tokens > 0, fixed_s + rest_s, 0.0)


def roofline(config: ModelConfig, gpu: GPU, num_gpus: int = 1, efficiency: Efficiency | None = None) -> Roofline:
    """The roofline of a model on so many GPUs, tensor parallel.

    A token takes 2 operations for each weight of the layers' matrices. The output matrix is read in full; its
    multiplication, with one token of a prompt only, is left out. The embedding is looked up, not read. An all-reduce of
    n bytes sends 2 n (g - 1) / g from each of g GPUs, twice a layer.
    """
    reached = efficiency or Efficiency()
    flops_per_s = gpu.flops_per_s * num_gpus
    bytes_per_s = gpu.bandwidth_bytes_per_s * reached.bandwidth * num_gpus
    read = NUMBER_BYTES * (config.num_layers * config.layer_matrices + config.embedding)
    reduces = 2 * config.num_layers if num_gpus > 1 else 0
    sent = NUMBER_BYTES * config.hidden_size * 2 * (num_gpus - 1) / num_gpus
    return Roofline(
        weights_s=read / bytes_per_s,
        per_token_s=2 * config.num_layers * config.layer_matrices / (flops_per_s * reached.compute),
        per_square_s=2 * config.num_layers * config.num_heads * config.head_dim / (flops_per_s * reached.attention),
        per_context_token_s=config.kv_bytes(NUMBER_BYTES) / bytes_per_s,
        reduce_s=reduces * reached.all_reduce_s,
        reduce_per_token_s=reduces * sent / (gpu.link_bytes_per_s * reached.link),
    )


def swap_s_per_block(config: ModelConfig, gpu: GPU, num_gpus: int = 1, efficiency: Efficiency | None = None) -> float:
    """Seconds to move a block between GPU and host; each GPU moves its share on its own PCIe lanes."""
    reached = efficiency or Efficiency()
    return config.kv_bytes(NUMBER_BYTES) * BLOCK_SIZE / (gpu.pcie_bytes_per_s * reached.pcie * num_gpus)
