"""Attention of new tokens to K and V that are read from the cache, whatever form they are read from."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from engine.runner.forms.form_blocks import AttendCached, Read


def by_reader(read: Read, visible: torch.Tensor) -> AttendCached:
    """`FormBlocks.attender` by what `FormBlocks.reader` reads: the plain path, which every form has."""
    return partial(_attend, read, visible)


def _attend(read: Read, visible: torch.Tensor, layer: int, q: torch.Tensor) -> torch.Tensor:
    """Attention to K and V of a layer; heads that share a KV head go on the axis of tokens, without copies."""
    keys, values = read(layer).permute(2, 0, 3, 1, 4)  # [size, num_kv_heads, length, head_dim]
    size, kv_heads, _, dim = keys.shape
    new, sharing = visible.shape[2], q.shape[1] // kv_heads
    queries = q.view(size, new, kv_heads, sharing, dim).permute(0, 2, 3, 1, 4)
    if new > 1 and sharing > 1:
        visible = visible.repeat(1, 1, sharing, 1)
    found = F.scaled_dot_product_attention(
        queries.reshape(size, kv_heads, sharing * new, dim), keys, values, attn_mask=visible
    )
    return found.view(size, kv_heads, sharing, new, dim).permute(0, 3, 1, 2, 4).reshape(q.shape)
