"""Attention of new tokens to K and V: to those of their own prefill, and to what any form has read from the cache."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from engine.runner.forms.form_blocks import AttendCached, Read


def causal(q: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
    """Attention within one prefill: q [t, num_heads, head_dim], kv [t, 2, num_kv_heads, head_dim]."""
    keys, values = kv.permute(1, 2, 0, 3)[:, None]  # [1, num_kv_heads, t, head_dim]
    shares_heads = q.shape[1] > kv.shape[2]
    found = F.scaled_dot_product_attention(
        q.transpose(0, 1)[None], keys, values, is_causal=True, enable_gqa=shares_heads
    )
    return found[0].transpose(0, 1)


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
