"""What attention over cached hidden states costs: bytes and FLOPs by the model's shape, and seconds by the GPU."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from aptsched.support import checks
from engine.models.config import ModelConfig
from engine.simulator.gpus import GPU
from engine.simulator.precision import BITS_16, Precision
from engine.simulator.work import Amount, Work, choose, larger

TILE_ROWS = 64  # of the matrix products in kernels for multi-head latent attention: fewer rows take as long
SUM_BYTES = 4  # partial sums that GPUs exchange are fp32


@dataclass(frozen=True)
class HiddenAmounts:
    """Bytes and FLOPs of attention over cached hidden states, in all layers and on all GPUs together.

    Attributes
    ----------
    bytes_per_token : float
        Bytes that are read of a cached token.
    flops_per_token : int
        For each cached token, however many tokens attend to it: to rebuild K, or K and V.
    flops_per_pair : int
        For each cached token and new token that attends to it: scores, and sums weighted by them.
    """

    bytes_per_token: float
    flops_per_token: int
    flops_per_pair: int


def rebuilds_keys(config: ModelConfig) -> bool:
    """Whether K has to be rebuilt even where V is absorbed: it is turned by RoPE, or normed, after its projection."""
    return config.architecture.positions == "rope" or config.architecture.qk_norm != "none"


def absorbed_amounts(
    config: ModelConfig, num_gpus: int = 1, hidden_reads: int = 2, number_bytes: float = 2
) -> HiddenAmounts:
    """Absorbed: scores and sums run over the hidden states, hidden_size values that all heads share.

    OPT-13B reads 409,600 bytes of a token, once or twice, and takes 4 * 40 * 5120 * 40 layers = 32.8 MFLOP a pair.
    Where K is rebuilt, only the sums run over hidden states. With several GPUs each then computes scores of all heads,
    from its part of the hidden states.
    """
    layers, heads, width = config.num_layers, config.num_heads, config.hidden_size
    keys = rebuilds_keys(config)
    return HiddenAmounts(
        bytes_per_token=hidden_reads * number_bytes * layers * width,
        flops_per_token=layers * width * config.kv_size if keys else 0,
        flops_per_pair=2 * layers * heads * ((config.head_dim * num_gpus if keys else width) + width),
    )


def rebuilt_amounts(config: ModelConfig, number_bytes: float = 2) -> HiddenAmounts:
    """Rebuilt: the hidden states are read, K and V are projected from them, and attended to as others are."""
    layers, width = config.num_layers, config.hidden_size
    return HiddenAmounts(
        bytes_per_token=number_bytes * layers * width,
        flops_per_token=2 * layers * width * config.kv_size,
        flops_per_pair=4 * layers * config.num_heads * config.head_dim,
    )


@dataclass(frozen=True)
class AbsorbedCost:
    """Seconds of absorbed attention.

    Attributes
    ----------
    up_to : int
        The most new tokens of a request for which its attention is absorbed.
    read_share : float
        Bytes that are read of a hidden token over those of its K and V: it is read at that share of their time.
    s_per_token, s_per_pair : float
        To multiply, for each cached token and for each pair with a new token, while the hidden states are read: of both
        the longer time counts.
    matrices_s, s_per_new_token : float
        To project queries and sums with the matrices of K and V, the longer of reading these and multiplying, where
        others need them too. Where all attention of an iteration is absorbed, this takes the place of computing K and V
        of the new tokens, which nobody reads.
    link_s, link_s_per_pair, link_s_per_new_token : float
        For sums over several GPUs: fixed, and for each pair and each new token.
    """

    up_to: int
    read_share: float
    s_per_token: float
    s_per_pair: float
    matrices_s: float = 0.0
    s_per_new_token: float = 0.0
    link_s: float = 0.0
    link_s_per_pair: float = 0.0
    link_s_per_new_token: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            checks.seconds(name, value)

    def multiplied_s(self, work: Work) -> Amount:
        """Seconds of the products with hidden states."""
        return self.s_per_token * work.absorbed_tokens + self.s_per_pair * work.absorbed_pairs

    def beside_s(self, work: Work) -> Amount:
        """Seconds beside these products and reading: matrices that are read once more, and the link."""
        new = work.absorbing_tokens
        others = work.prefill_tokens + work.decode_seqs - new
        again_s = choose((new > 0) & (others > 0), larger(self.matrices_s, self.s_per_new_token * new), 0.0)
        link_s = self.link_s_per_pair * work.absorbed_pairs + self.link_s_per_new_token * new
        return again_s + link_s + choose(new > 0, self.link_s, 0.0)


def absorbed_cost(config: ModelConfig, gpu: GPU, num_gpus: int = 1, precision: Precision = BITS_16) -> AbsorbedCost:
    """The cost of absorbed attention with a model on GPUs, tensor parallel.

    Products with hidden states have num_heads rows for each new token, and reach `Efficiency.absorbed` of the peak
    where these fill tiles of `TILE_ROWS`: of OPT-13B 40 of 64.

    With g GPUs, each holds hidden_size / g values of every token's hidden states, so that they take no more memory than
    on one, and all scores are sums over the GPUs: an all-reduce of num_heads fp32 numbers for each pair, of which each
    GPU sends 2 (g - 1) / g. Before it the queries are gathered, and after it the heads' outputs are reduced to the GPUs
    that go on with them: (g - 1) / g of 2 and of 4 bytes a value, together one more latency. (If instead each GPU held
    all hidden states, for heads of its own, nothing would be exchanged and the form would take g times the memory: with
    MHA, as much as KV on two GPUs.)
    """
    reached = gpu.efficiency
    amounts = absorbed_amounts(config, num_gpus, reached.hidden_reads, precision.hidden_bytes)
    projected_per_s = precision.flops_per_s(gpu) * num_gpus * reached.compute
    attended_per_s = precision.attention_flops_per_s(gpu) * num_gpus * reached.absorbed
    bytes_per_s = gpu.bandwidth_bytes_per_s * num_gpus * reached.bandwidth
    filled = config.num_heads / (TILE_ROWS * -(-config.num_heads // TILE_ROWS))
    num_projected = (1 if rebuilds_keys(config) else 2) * config.num_heads * config.head_dim
    layers, elsewhere = config.num_layers, (num_gpus - 1) / num_gpus
    sent_per_s = gpu.link_bytes_per_s * reached.link
    exchanged = config.num_heads * config.head_dim * (precision.hidden_bytes + SUM_BYTES)
    return AbsorbedCost(
        up_to=config.absorb_up_to,
        read_share=amounts.bytes_per_token / config.kv_bytes(precision.kv_bytes),
        s_per_token=amounts.flops_per_token / projected_per_s,
        s_per_pair=amounts.flops_per_pair / (attended_per_s * filled),
        matrices_s=config.kv_bytes(precision.weight_bytes) * config.hidden_size / bytes_per_s,
        s_per_new_token=2 * layers * config.hidden_size * num_projected / projected_per_s,
        link_s=2 * layers * reached.all_reduce_s if num_gpus > 1 else 0.0,
        link_s_per_pair=layers * 2 * elsewhere * SUM_BYTES * config.num_heads / sent_per_s,
        link_s_per_new_token=layers * elsewhere * exchanged / sent_per_s,
    )


def rebuild_s_per_token(config: ModelConfig, gpu: GPU, num_gpus: int = 1, precision: Precision = BITS_16) -> float:
    """Seconds to rebuild K and V of a cached token: 2 operations for each weight of the K and V projections.

    Reading the hidden states takes less, and overlaps. OPT-13B on an A100 takes 13.4 us at its peak, 17.0 us at 79%.
    With several GPUs, each rebuilds K and V of its own heads, once the others have sent their parts of the hidden
    states.
    """
    flops_per_s = precision.flops_per_s(gpu) * num_gpus * gpu.efficiency.compute
    gathered = precision.hidden_bytes * config.num_layers * config.hidden_size * (num_gpus - 1) / num_gpus
    return rebuilt_amounts(config).flops_per_token / flops_per_s + gathered / (
        gpu.link_bytes_per_s * gpu.efficiency.link
    )


def gather_s(config: ModelConfig, gpu: GPU, num_gpus: int = 1) -> float:
    """Latency of gathering hidden states from several GPUs, once in each layer, taken to be that of an all-reduce."""
    return config.num_layers * gpu.efficiency.all_reduce_s if num_gpus > 1 else 0.0
