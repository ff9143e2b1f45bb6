"""What attention asks of a form of cache: where its tokens lie in the blocks, how they are written and read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from aptsched.support.checks import Bools, Ints
from engine.models.decoder import Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.scratch import Scratch

Write = Callable[[int, torch.Tensor], None]  # in a layer, of new tokens what `FormBlocks.stored` gives
Read = Callable[[int], torch.Tensor]  # of a layer, K and V [size, length, 2, num_kv_heads, head_dim]


class FormBlocks(Protocol):
    """The blocks of a model, read and written in one form of cache.

    What an iteration needs for it (indices on the device) is made once, by `writer` and `reader`, and used in every
    layer.

    Attributes
    ----------
    tokens_per_block : int
        Whole tokens of this form that a block holds.
    """

    tokens_per_block: int

    def stored(self, hidden: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """Which of hidden states, [t, hidden], and K and V, [t, 2, num_kv_heads, head_dim], the form keeps."""
        ...

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """Writes tokens at these positions, [t], of owners, [t], that are rows of a block table."""
        ...

    def length(self, num_tokens: int) -> int:
        """How many tokens of each request are read where the longest has so many: what `reader` pads to."""
        ...

    def reader(self, table: Ints, num_tokens: Ints) -> Read:
        """Reads the first tokens, [size], of requests that are the rows of a block table, [size, most blocks].

        Rows beyond a request's last token are finite numbers, and nothing else is known of them. What was read is
        overwritten by the next reading, of whatever form.
        """
        ...

    def as_read(self, kv: torch.Tensor) -> torch.Tensor:
        """K and V of new tokens, [t, 2, num_kv_heads, head_dim], as reading gives them once they are written."""
        ...


MakeFormBlocks = Callable[[Decoder, CacheStorage, Scratch], FormBlocks]


def on_device(array: Ints | Bools, device: torch.device) -> torch.Tensor:
    """An array as a tensor; a copy to another device is not waited for."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)


def padded_table(table: Ints, num_blocks: int) -> Ints:
    """The first blocks of each request, [size, num_blocks]; its own first one again where it has fewer."""
    first = table[:, :num_blocks]
    return np.where(first < 0, table[:, :1], first)
