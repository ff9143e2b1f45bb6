"""Entries of an iteration as kernels take them: any mix of decodes, chunks and whole prefills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from aptsched.support.checks import Ints
from engine.runner.device.upload import Put
from engine.runner.forms.form_blocks import owners


@dataclass(frozen=True, eq=False)
class Mix:
    """Entries in one form, in the order of their tokens.

    Attributes
    ----------
    start, count : int array, [b]
        Tokens cached before, and tokens fed.
    table : int array, [b, most blocks of any]
        Blocks of each in order; beyond its last any number, which is not read. What is launched depends on its width,
        not on how many tokens are cached.
    """

    start: Ints
    count: Ints
    table: Ints

    @property
    def num_tokens(self) -> int:
        """Tokens fed."""
        return int(self.count.sum())

    def some(self, entries: slice) -> Mix:
        """Some of the entries."""
        return Mix(self.start[entries], self.count[entries], self.table[entries])


@dataclass(frozen=True, eq=False)
class Tiles:
    """A mix on the device, cut into tiles of new tokens: the arguments that all kernels of attention begin with.

    Attributes
    ----------
    table, start, first, count : int tensor
        As in the mix; `first` is the place of each entry's first token among all.
    tiles : int tensor, [t, 2]
        Of each tile its entry, and the first of its tokens, or of its rows, in the entry.
    """

    table: torch.Tensor
    start: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor
    tiles: torch.Tensor

    @classmethod
    def of(cls, mix: Mix, put: Put, size: int, each: int = 1) -> Tiles:
        """Tiles of up to `size` rows, where a token is `each` rows."""
        rows = mix.count * each
        entry, place = owners(-(-rows // size))
        first = mix.count.cumsum() - mix.count
        arrays = (mix.table, mix.start, first, mix.count, np.stack([entry, place * size], 1))
        return cls(*map(put, arrays))

    @property
    def width(self) -> int:
        """Columns of the block table."""
        return self.table.shape[1]


def power_of_two(at_least: int) -> int:
    """The next one from 16 on, which products in kernels need."""
    return max(16, 1 << (at_least - 1).bit_length())
