"""Attention over the paged cache, K and V or hidden states, prefill, chunks and decode in one batch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from engine.models.decoder import Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.layout import Group, Layout, Prefill
from engine.state.batch import Conversion


class PagedAttention:
    """Writes an iteration's tokens to the cache and attends to all that is there.

    Parameters
    ----------
    decoder : Decoder
        Rebuilds K and V of hidden states.
    storage : CacheStorage
    """

    def __init__(self, decoder: Decoder, storage: CacheStorage) -> None:
        self.decoder, self.storage = decoder, storage
        config = decoder.config
        self.num_kv_heads, self.head_dim = config.num_kv_heads, config.head_dim
        self.shared_by = config.num_heads // config.num_kv_heads
        self.scratch = torch.zeros(0, dtype=decoder.dtype, device=decoder.device)
        self.layout: Layout

    def begin(self, layout: Layout) -> None:
        """What `__call__` is about from now on; the scratch grows to the largest group's K and V."""
        self.layout = layout
        rows = max((s.size * s.length for s in layout.segments if isinstance(s, Group)), default=0)
        if rows * self.storage.row > len(self.scratch):
            self.scratch = self.scratch.new_zeros(rows * self.storage.row)

    def __call__(self, layer: int, hidden: torch.Tensor, q: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """Attention of one layer: hidden [T, hidden], q [T, num_heads, head_dim], kv [T, 2, num_kv_heads, head_dim]."""
        self._write(layer, hidden, kv)
        out = torch.empty_like(q)
        for segment in self.layout.segments:
            new = q[segment.tokens]
            if isinstance(segment, Prefill):
                out[segment.tokens] = self._causal(new, kv[segment.tokens])
            else:
                out[segment.tokens] = self._cached(segment, new, self._context(layer, segment))
        return out

    def _write(self, layer: int, hidden: torch.Tensor, kv: torch.Tensor) -> None:
        layout = self.layout
        if len(layout.slots):
            new = kv if layout.kv_tokens is None else kv.index_select(0, layout.kv_tokens)
            self.storage.write_kv(layer, layout.slots, new)
        if len(layout.pieces):
            new = hidden if layout.hidden_tokens is None else hidden.index_select(0, layout.hidden_tokens)
            self.storage.write_hidden(layer, layout.pieces, new)

    def _causal(self, q: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """Tokens of one request among themselves: q [t, num_heads, head_dim], kv [t, 2, num_kv_heads, head_dim]."""
        keys, values = kv.permute(1, 2, 0, 3)[:, None]  # [1, num_kv_heads, t, head_dim]
        found = F.scaled_dot_product_attention(
            q.transpose(0, 1)[None], keys, values, is_causal=True, enable_gqa=self.shared_by > 1
        )
        return found[0].transpose(0, 1)

    def _context(self, layer: int, group: Group) -> torch.Tensor:
        """K and V of a group's requests, [size, length, 2, num_kv_heads, head_dim]."""
        shape = (group.size, group.length, 2, self.num_kv_heads, self.head_dim)
        if group.blocks is not None:
            blocks = self.storage.blocks[layer]
            read = self.scratch[: len(group.blocks) * blocks.shape[1]].view(len(group.blocks), -1)
            return torch.index_select(blocks, 0, group.blocks, out=read).view(shape)
        assert group.pieces is not None and group.positions is not None
        hidden = self.storage.read_hidden(layer, group.pieces)
        kv = self.decoder.keys_and_values(layer, hidden, group.positions)
        if group.rows is None:
            return kv.view(shape)
        # Rows beyond a request's last token keep what was there before: they are finite, and weighted by 0.
        rows = self.scratch[: group.size * group.length * self.storage.row].view(-1, self.storage.row)
        return rows.index_copy_(0, group.rows, kv.flatten(1)).view(shape)

    def _cached(self, group: Group, q: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """New tokens over K and V; heads that share a KV head stand with the new tokens, so that nothing is copied."""
        size, new = group.size, group.num_new
        kv_heads, sharing, dim = self.num_kv_heads, self.shared_by, self.head_dim
        queries = q.view(size, new, kv_heads, sharing, dim).permute(0, 2, 3, 1, 4)
        keys, values = kv.permute(2, 0, 3, 1, 4)  # [size, num_kv_heads, length, head_dim]
        visible = group.visible if new == 1 or sharing == 1 else group.visible.repeat(1, 1, sharing, 1)
        found = F.scaled_dot_product_attention(
            queries.reshape(size, kv_heads, sharing * new, dim), keys, values, attn_mask=visible
        )
        return found.view(size, kv_heads, sharing, new, dim).permute(0, 3, 1, 2, 4).reshape(q.shape)

    def promote(self, conversion: Conversion) -> None:
        """Turns a request's hidden states into K and V; all of a layer are read before any is written."""
        where = np.arange(conversion.num_cached)
        owner = np.zeros_like(where)
        pieces, slots, positions = (
            torch.from_numpy(indices).to(self.decoder.device)
            for indices in (
                self.storage.piece_indices(conversion.source_blocks[None], owner, where),
                self.storage.slots(conversion.target_blocks[None], owner, where),
                where,
            )
        )
        for layer in range(self.decoder.config.num_layers):
            hidden = self.storage.read_hidden(layer, pieces)
            self.storage.write_kv(layer, slots, self.decoder.keys_and_values(layer, hidden, positions))
