"""What an iteration needs at most beside weights and cache, as it is stated; benchmarks.memory measures it."""

from __future__ import annotations

import torch

from aptsched.scheduling.forms import BLOCK_SIZE
from engine.models.config import ModelConfig
from engine.models.decoder import MLP_ROWS
from engine.models.matmul import KERNEL_BYTES, kernel_rows, packs
from engine.runner.layout import GROUP_BYTES


def scratch_bytes(config: ModelConfig, dtype: torch.dtype, max_tokens: int, max_seqs: int) -> int:
    """The most bytes that an iteration needs in addition to weights and cache.

    They are the activations of `max_tokens` tokens (the residual, its norm, q, K and V, the output of attention, and
    what is added); an MLP of `MLP_ROWS` of them, or their K and V while they are quantised; for a group of decodes or
    the longest request, in whole blocks, the K and V read, hidden states with what is rebuilt from them, and quantised
    values; and the logits of `max_seqs` requests, which sampling also holds in float64. Where weights are
    packed (`engine.models.matmul.packs`) also the kernels of all products, once every number of rows has occurred.
    """
    heads, kv = config.num_heads * config.head_dim, 2 * config.num_kv_heads * config.head_dim
    each = torch.empty((), dtype=dtype).element_size()
    activations = max_tokens * (4 * config.hidden_size + 2 * heads + kv)
    gated = 2 if config.architecture.is_gated else 1
    mlp = each * (2 * config.hidden_size + 2 * gated * config.intermediate_size)
    quantised = kv * (2 * max(4, each) + 1)  # two copies, in fp32 or wider, and one of 8 bits
    at_once = min(max_tokens, MLP_ROWS) * max(mlp, quantised)
    rows = max(GROUP_BYTES // (kv * each), config.max_positions) + BLOCK_SIZE * each  # most tokens of a block
    context = rows * (each * (2 * kv + config.hidden_size) + kv + 4 * config.num_kv_heads)
    scratch = each * activations + at_once + context + max_seqs * config.vocab_size * (each + 8)
    return scratch + (kernel_bytes(max_tokens, max_seqs) if packs(torch.device("cpu"), dtype) else 0)


def kernel_bytes(max_tokens: int, max_seqs: int) -> int:
    """Bytes of the kernels of Q, of K with V, of the output, of both products of the MLP, and of the logits."""
    tokens, mlp, logits = (len(kernel_rows(most)) for most in (max_tokens, min(max_tokens, MLP_ROWS), max_seqs))
    return KERNEL_BYTES * (3 * tokens + 2 * mlp + logits)
