"""Requests whose cached tokens are turned into another form, in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.form_blocks import FormBlocks, Read, Write
from engine.runner.kernels.form_kernels import FormKernels
from engine.state.batch import Conversion


class Conversions:
    """What turns tokens of one form into those of another.

    Parameters
    ----------
    storage : CacheStorage
    forms : mapping of int to FormBlocks
        By `CacheForm`.
    kernels : mapping of int to FormKernels
        Those that there are; they write, and never read what is beyond a request's last token.
    """

    def __init__(
        self, storage: CacheStorage, forms: Mapping[int, FormBlocks], kernels: Mapping[int, FormKernels]
    ) -> None:
        self.storage, self.forms, self.kernels = storage, forms, kernels

    def of(self, conversions: Sequence[Conversion]) -> Iterator[Callable[[], None]]:
        """A call for each; a layer is read in full before it is written."""
        for each in conversions:
            num_cached, where = each.num_cached, np.arange(each.num_cached)
            read = self.forms[each.source].reader(each.source_blocks[None], np.array([num_cached]))
            by = self.kernels.get(each.target, self.forms[each.target])
            write = by.writer(each.target_blocks[None], np.zeros_like(where), where)
            cleared = None if each.target in self.kernels else self.storage.upload.put(each.target_blocks)
            yield partial(self._convert, read, write, num_cached, cleared)

    def _convert(self, read: Read, write: Write, num_cached: int, cleared: torch.Tensor | None) -> None:
        for layer in range(len(self.storage.blocks)):
            kv = read(layer)[0, :num_cached]
            if cleared is not None:
                self.storage.clear(cleared, layer)
            write(layer, kv)
