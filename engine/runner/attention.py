"""Attention over the paged cache in all its forms; prefill, chunks and decode in one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch

from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.attend_to_kv import causal
from engine.runner.forms.form_blocks import FormBlocks, Read, Write
from engine.runner.forms.groups import Group, Prefill
from engine.runner.layout import Layout
from engine.state.batch import Conversion


class PagedAttention:
    """Writes an iteration's tokens to the cache, and lets them attend to all cached tokens of their requests.

    Parameters
    ----------
    storage : CacheStorage
    forms : mapping of int to FormBlocks
        By `CacheForm`.
    """

    def __init__(self, storage: CacheStorage, forms: Mapping[int, FormBlocks]) -> None:
        self.storage, self.forms = storage, forms
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

    def conversion(self, conversion: Conversion) -> Callable[[], None]:
        """A call that converts a request's tokens to another form; a layer is read in full before it is written."""
        num_cached, where = conversion.num_cached, np.arange(conversion.num_cached)
        read = self.forms[conversion.source].reader(conversion.source_blocks[None], np.array([num_cached]))
        write = self.forms[conversion.target].writer(conversion.target_blocks[None], np.zeros_like(where), where)
        return partial(self._convert, read, write, num_cached, self.storage.upload.put(conversion.target_blocks))

    def _convert(self, read: Read, write: Write, num_cached: int, target: torch.Tensor) -> None:
        for layer in range(len(self.storage.blocks)):
            kv = read(layer)[0, :num_cached]
            self.storage.clear(target, layer)
            write(layer, kv)
