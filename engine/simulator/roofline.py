"""The roofline: seconds of an iteration from the model's sizes and the GPU's peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.scheduling.forms import BLOCK_SIZE
from engine.models.config import ModelConfig
from engine.simulator.gpus import GPU
from engine.simulator.precision import BITS_16, Precision
from engine.simulator.work import Amount, Work, choose, larger


@dataclass(frozen=True)
class Roofline:
    """Matrices take the longer of reading the weights and multiplying; the times of the rest are added.

    Parameters
    ----------
    weights_s : float
        To read once all weights that every token is multiplied with, and the output matrix.
    per_token_s : float
        To multiply a token with them.
    per_square_s : float
        For attention in a prefill, for each of `Work.prefill_squares`.
    per_context_token_s : float
        To read K and V of a cached token.
    reduce_s, reduce_per_token_s : float
        For all-reduces between several GPUs: fixed, and for each token.
    experts_s, missed_share : float
        To read all routed experts, and the chance that a token goes through none of a given one's weights: b tokens
        read a share of 1 - missed_share^b.
    """

    weights_s: float
    per_token_s: float
    per_square_s: float
    per_context_token_s: float
    reduce_s: float = 0.0
    reduce_per_token_s: float = 0.0
    experts_s: float = 0.0
    missed_share: float = 1.0

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration."""
        tokens = work.prefill_tokens + work.decode_seqs
        read_s: Amount = self.weights_s
        if self.experts_s:  # numpy's power for numbers and arrays alike, so that both have equal bits
            read_s = read_s + self.experts_s * (1.0 - np.power(self.missed_share, tokens))
        fixed_s = larger(read_s, self.per_token_s * tokens) + self.reduce_s
        rest_s = (
            self.per_square_s * work.prefill_squares
            + self.per_context_token_s * work.context_tokens
            + self.reduce_per_token_s * tokens
        )
        return choose(tokens > 0, fixed_s + rest_s, 0.0)


def roofline(config: ModelConfig, gpu: GPU, num_gpus: int = 1, precision: Precision = BITS_16) -> Roofline:
    """The roofline of a model on so many GPUs, tensor parallel.

    A token takes 2 operations for each weight of the layers' matrices that it meets: of experts, those that it goes
    through. Of experts the weights are read that any of the tokens goes through, where all are as likely. The output
    matrix is read in full; its multiplication, with one token of a prompt only, is left out. The embedding is looked
    up, not read. An all-reduce of n bytes sends 2 n (g - 1) / g from each of g GPUs, twice a layer.
    """
    reached = gpu.efficiency
    flops_per_s = precision.flops_per_s(gpu) * num_gpus * reached.compute
    attention_per_s = precision.attention_flops_per_s(gpu) * num_gpus * reached.attention
    bytes_per_s = gpu.bandwidth_bytes_per_s * reached.bandwidth * num_gpus
    read = precision.weight_bytes * (config.common_matrices + config.embedding)
    reduces = 2 * config.num_layers if num_gpus > 1 else 0
    sent = precision.hidden_bytes * config.hidden_size * 2 * (num_gpus - 1) / num_gpus
    return Roofline(
        weights_s=read / bytes_per_s,
        per_token_s=2 * config.active_matrices / flops_per_s,
        per_square_s=2 * config.num_layers * config.num_heads * config.head_dim / attention_per_s,
        per_context_token_s=config.kv_bytes(precision.kv_bytes) / bytes_per_s,
        reduce_s=reduces * reached.all_reduce_s,
        reduce_per_token_s=reduces * sent / (gpu.link_bytes_per_s * reached.link),
        experts_s=precision.weight_bytes * config.expert_matrices / bytes_per_s,
        missed_share=1.0 if config.experts is None else config.experts.missed_share,
    )


def swap_s_per_block(config: ModelConfig, gpu: GPU, num_gpus: int = 1, precision: Precision = BITS_16) -> float:
    """Seconds to move a block between GPU and host; each GPU moves its share on its own PCIe lanes."""
    bytes_per_s = gpu.pcie_bytes_per_s * gpu.efficiency.pcie * num_gpus
    return config.kv_bytes(precision.kv_bytes) * BLOCK_SIZE / bytes_per_s
