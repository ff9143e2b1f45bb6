"""Attention over the paged cache in all its forms; prefill, chunks and decode in one batch."""

from __future__ import annotations

import torch

from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.attend_to_kv import causal
from engine.runner.forms.groups import Group, Prefill
from engine.runner.layout import Layout


class PagedAttention:
    """Writes an iteration's tokens to the cache, and lets them attend to all cached tokens of their requests.

    Parameters
    ----------
    storage : CacheStorage
    """

    def __init__(self, storage: CacheStorage) -> None:
        self.storage = storage
        self.layout: Layout
        self.needs_kv: bool

    def begin(self, layout: Layout) -> None:
        """Sets the layout that `__call__` works on from now on; clears blocks that get their first token."""
        self.layout, self.needs_kv = layout, layout.needs_kv
        if len(layout.begun):
            self.storage.clear(layout.begun)

    def __call__(self, layer: int, hidden: torch.Tensor, q: torch.Tensor, kv: torch.Tensor | None) -> torch.Tensor:
        """Attention of one layer: hidden [T, hidden], q [T, num_heads, head_dim], kv [T, 2, num_kv_heads, head_dim]."""
        for write in self.layout.writes:
            write(layer, hidden, kv)
        first, *others = self.layout.segments
        if isinstance(first, Group) and not others:
            return first.attend(layer, q)
        out = torch.empty_like(q)
        for segment in self.layout.segments:
            new = q[segment.tokens]
            if isinstance(segment, Prefill):
                assert kv is not None
                out[segment.tokens] = causal(new, segment.as_read(kv[segment.tokens]))
            else:
                out[segment.tokens] = segment.attend(layer, new)
        return out
