"""The protocol of a form of cache, for attention: where its tokens lie in blocks, how they are written and read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from aptsched.support.checks import Ints

Write = Callable[[int, torch.Tensor], None]  # called with a layer and hidden states, or K and V, of new tokens
Read = Callable[[int], torch.Tensor]  # from a layer to K and V, [size, length, 2, num_kv_heads, head_dim]
# From a layer and Q, [size * new, num_heads, head_dim], of as many new tokens for each request, to attention's outcome.
AttendCached = Callable[[int, torch.Tensor], torch.Tensor]


class FormBlocks(Protocol):
    """The blocks of a model, read and written in one form of cache.

    `writer`, `attender` and `reader` make the indices of an iteration once; they are used in every layer. What they put
    on the device is there after the next `Upload.send`, and so are the functions that they give to be called after it.

    Attributes
    ----------
    tokens_per_block : int
        Whole tokens of this form that a block holds.
    token_bytes : int
        Bytes of a cached token as a decode attends to it.
    stores_hidden : bool
        Whether tokens are written from hidden states, [t, hidden]; otherwise from K and V, [t, 2, num_kv_heads,
        head_dim].
    """

    tokens_per_block: int
    token_bytes: int
    stores_hidden: bool

    def prepare(self) -> None:
        """Make what the form needs of the model's weights, once, before its first token is written.

        Raises
        ------
        InputError
            These weights do not allow it.
        """
        ...

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """A function that writes tokens at these positions, [t], of owners, [t], which are rows of a block table."""
        ...

    def length(self, num_tokens: int) -> int:
        """How many tokens of each request are read, padding included, if the longest has so many."""
        ...

    def attender(self, table: Ints, num_tokens: Ints, visible: torch.Tensor) -> AttendCached:
        """A function by which new tokens attend to the first `num_tokens`, [size], of the rows of a block table.

        visible, bool [size, 1, new, length], says which of the tokens read each new token attends to. A form that
        has no better way attends to what `reader` reads (`attend_to_kv.by_reader`).
        """
        ...

    def reader(self, table: Ints, num_tokens: Ints) -> Read:
        """A function that reads the first `num_tokens`, [size], of the rows of a block table, [size, most blocks].

        Rows beyond a request's last token are arbitrary finite numbers. The result is overwritten by the next reading,
        in any form.
        """
        ...

    def as_read(self, kv: torch.Tensor) -> torch.Tensor:
        """K and V of new tokens, [t, 2, num_kv_heads, head_dim], as they will be read from the cache."""
        ...


def owners(counts: Ints) -> tuple[Ints, Ints]:
    """Of so many tokens of each owner, [n]: the owner of each token, [t], and its place among the owner's, [t]."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - (counts.cumsum() - counts)[owner]


def padded_table(table: Ints, num_blocks: int) -> Ints:
    """The first blocks of each request, [size, num_blocks], padded with the request's first block."""
    first = table[:, :num_blocks]
    return np.where(first < 0, table[:, :1], first)


def write_stored(
    form: FormBlocks,
    tokens: torch.Tensor | None,
    write: Write,
    layer: int,
    hidden: torch.Tensor,
    kv: torch.Tensor | None,
) -> None:
    """Write what the form stores of these tokens, or of all where `tokens` is None."""
    new = hidden if form.stores_hidden else kv
    assert new is not None
    write(layer, new if tokens is None else new.index_select(0, tokens))
