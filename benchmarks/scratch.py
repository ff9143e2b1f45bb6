"""What an iteration needs at most beside weights and cache, as it is stated; benchmarks.memory measures it."""

from __future__ import annotations

import torch

from aptsched.scheduling.forms import BLOCK_SIZE
from engine.models.config import ModelConfig
from engine.models.decoder import CPU_MLP_ROWS, MLP_ROWS
from engine.models.matmul import KERNEL_BYTES, kernel_rows, packs
from engine.runner.forms.groups import GROUP_BYTES


def scratch_bytes(config: ModelConfig, dtype: torch.dtype, max_tokens: int, max_seqs: int) -> int:
    """The most bytes that an iteration needs in addition to weights and cache.

    They are the activations of `max_tokens` tokens (the residual, its norm, q, K and V, the output of attention, and
    what is added); an MLP of `CPU_MLP_ROWS` of them, or K and V of `MLP_ROWS` while they are quantised; for a group of
    decodes or the longest request, in whole blocks, what is read, in fp32 by each thread where compiled loops attend,
    quantised values, and the more of hidden states with what is rebuilt from them and of what absorbed attention makes
    (`absorbed_bytes`); and the logits of `max_seqs` requests, which sampling also holds as scores and as shares, in
    float32. Where weights are packed (`engine.models.matmul.packs`) also the kernels of all products, once every number
    of rows has occurred.
    """
    heads, kv = config.num_heads * config.head_dim, config.kv_size
    each = torch.empty((), dtype=dtype).element_size()
    activations = max_tokens * (4 * config.hidden_size + 2 * heads + kv)
    gated = 2 if config.architecture.is_gated else 1
    mlp = each * (2 * config.hidden_size + 2 * gated * config.intermediate_size)
    quantised = kv * (2 * max(4, each) + 1)  # two copies, in fp32 or wider, and one of 8 bits
    at_once = max(min(max_tokens, CPU_MLP_ROWS) * mlp, min(max_tokens, MLP_ROWS) * quantised)
    rows = max(GROUP_BYTES // (kv * each), config.max_positions) + BLOCK_SIZE * each  # most tokens of a block
    rebuilt = rows * each * (kv + config.hidden_size)
    read = max(rows * each * kv, torch.get_num_threads() * (config.max_positions + BLOCK_SIZE) * 4 * kv)
    context = read + rows * (kv + 4 * config.num_kv_heads) + max(rebuilt, absorbed_bytes(config, each, max_seqs))
    scratch = each * activations + at_once + context + max_seqs * config.vocab_size * (each + 8)
    return scratch + (kernel_bytes(max_tokens, max_seqs, rows) if packs(torch.device("cpu"), dtype) else 0)


def absorbed_bytes(config: ModelConfig, each: int, max_seqs: int) -> int:
    """Bytes that absorbed attention makes beside the hidden states that it reads, each number of them of `each` bytes.

    They are scores and weights, for a group of decodes or a chunk; queries once multiplied by K's matrix, or sums, and
    a copy of them in another order; hidden states and a matrix in fp32 if they have 16 bits; and with RoPE, K before
    and after it is turned, and both K and hidden states with padding between the tokens.
    """
    heads, hidden, wide = config.num_heads, config.hidden_size, max(4, each)
    tokens, most_new = max(GROUP_BYTES // (hidden * each), config.max_positions), config.absorb_up_to
    scores = 2 * wide * heads * max(tokens, config.max_positions * most_new)
    rows = 2 * wide * heads * hidden * max(max_seqs, most_new)
    turned = each * (hidden + 3 * config.kv_size // 2) if config.architecture.positions == "rope" else 0
    converted = wide * hidden * (tokens + config.kv_size // 2) if wide > each else 0
    return scores + rows + tokens * turned + converted


def kernel_bytes(max_tokens: int, max_seqs: int, max_read: int) -> int:
    """Bytes of the kernels of Q, of K with V, of the output, of both products of the MLP, of the logits, and of K."""
    most = (max_tokens, min(max_tokens, CPU_MLP_ROWS), max_seqs, max_read)
    tokens, mlp, logits, read = (len(kernel_rows(rows)) for rows in most)
    return KERNEL_BYTES * (3 * tokens + 2 * mlp + logits + read)
