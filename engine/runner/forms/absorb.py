"""Attention over hidden states themselves: the matrices of K and V are absorbed into queries and outcome.

For head h, a cached token's hidden state x and its weight p in the softmax,

    score      q . (W_k,h x + b_k,h) = (W_k,h^T q) . x + q . b_k,h
    outcome    sum p (W_v,h x + b_v,h) = W_v,h (sum p x) + b_v,h

where q . b_k,h is equal for all tokens, and so leaves the softmax. The query is projected once, and scores and sums run
over x, which all heads share: two products whose rows are the heads. RoPE stands between W_k and q, differently for
each token; K is then rebuilt, turned and read, and only V is absorbed. Sources: the decoding of multi-head latent
attention (DeepSeek-V2, arXiv 2405.04434, section 2.1.2); for K alone, Slim Attention (arXiv 2503.05840).

In 16 bits, projected queries, scores and sums stay in fp32, so that none is rounded where K and V would not be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch

from engine.models.decoder import Decoder
from engine.runner.forms.form_blocks import AttendCached
from engine.runner.forms.wide_products import wide, wide_bmm

# From a layer and some of the requests to hidden states, [size, length, hidden], and with RoPE K, [num_kv_heads,
# size * length, head_dim].
ReadHidden = Callable[[int, slice], tuple[torch.Tensor, torch.Tensor | None]]


def by_absorption(decoder: Decoder, read: ReadHidden, visible: torch.Tensor, at_once: int) -> AttendCached:
    """`FormBlocks.attender` over hidden states, read of so many requests at once.

    The new tokens see `visible`, bool [size, 1, new, length].
    """
    return partial(_attend, decoder, read, visible[:, :, :, None], at_once)


def _attend(
    decoder: Decoder, read: ReadHidden, visible: torch.Tensor, at_once: int, layer: int, q: torch.Tensor
) -> torch.Tensor:
    """The outcome, [size * new, num_heads, head_dim], of Q of that shape; visible [size, 1, new, 1, length]."""
    parts, size = decoder.kv_parts(layer), len(visible)
    kv_heads, dim, width = parts.value_matrix.shape
    rows = q.view(size, -1, kv_heads, q.shape[1] // kv_heads, dim).permute(2, 0, 1, 3, 4)
    queries = rows.reshape(kv_heads, -1, dim)
    if parts.keys is None:
        queries = wide_bmm(queries, parts.key_matrix)
    queries = queries.view(kv_heads, size, -1, queries.shape[2])
    some = [slice(first, first + at_once) for first in range(0, size, at_once)]
    sums = torch.cat([_sums(queries[:, each], *read(layer, each), ~visible[each], dim) for each in some])
    by_head = _swapped(sums.view(size, kv_heads, -1, width))
    found = wide_bmm(by_head, parts.value_matrix.transpose(1, 2)).view(rows.shape).permute(1, 2, 0, 3, 4)
    if parts.value_bias is not None:
        found = found + parts.value_bias[:, None]
    return found.reshape(q.shape).to(q.dtype)


def _sums(
    queries: torch.Tensor, hidden: torch.Tensor, keys: torch.Tensor | None, hides: torch.Tensor, dim: int
) -> torch.Tensor:
    """Weighed sums of hidden states, [size, rows, hidden], for queries, [num_kv_heads, size, rows of each, any].

    Rows are ordered by KV head, new token, and head among those that share the KV head.
    """
    kv_heads, size, _, values = queries.shape
    _, _, new, _, length = hides.shape
    if hidden.device.type == "cpu":
        hidden = hidden.to(wide(hidden.dtype))  # once for both products
    if keys is None:
        scores = wide_bmm(_swapped(queries), hidden.transpose(1, 2))
    else:
        by_head = keys.view(kv_heads * size, length, values).transpose(1, 2)
        scores = _swapped(wide_bmm(queries.flatten(0, 1), by_head).view(kv_heads, size, -1, length))
    scores = scores.view(size, kv_heads, new, -1, length).mul_(1 / math.sqrt(dim)).masked_fill_(hides, -math.inf)
    return wide_bmm(scores.softmax(-1).view(size, -1, length), hidden)


def _swapped(rows: torch.Tensor) -> torch.Tensor:
    """Rows, [a, b, n, values], by the other of their first two axes, [b, a * n, values]."""
    return rows.transpose(0, 1).reshape(rows.shape[1], -1, rows.shape[3])
