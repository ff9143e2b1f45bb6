"""Hidden states, from which K and V are rebuilt whenever they are read. Source: Apt-Serve, section 4."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch

from aptsched.scheduling.forms import BLOCK_SIZE
from aptsched.support.checks import Ints
from engine.models.decoder import Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.attend_to_kv import by_reader
from engine.runner.forms.form_blocks import AttendCached, Read, Write, on_device
from engine.runner.forms.scratch import Scratch


class HiddenBlocks:
    """A block holds, token by token, the inputs of the K and V projections, in the model's dtype.

    In each layer it is [tokens_per_block, hidden_size]; the rest of the block stays unused. As hidden_size need not
    divide a block, all blocks together are viewed as [pieces, piece], where a piece has as many values as the greatest
    common divisor of both sizes; a token is hidden_size / piece consecutive pieces.

    Parameters
    ----------
    decoder : Decoder
        It computes K and V.
    storage : CacheStorage
    scratch : Scratch
        Rows of K and V, which all forms read into.
    """

    def __init__(self, decoder: Decoder, storage: CacheStorage, scratch: Scratch) -> None:
        self.decoder, self.scratch = decoder, scratch
        self.hidden_size, block_values = decoder.config.hidden_size, BLOCK_SIZE * storage.row
        self.tokens_per_block = block_values // self.hidden_size
        self.piece = math.gcd(block_values, self.hidden_size)
        self.pieces_per_block = block_values // self.piece
        self.pieces = storage.blocks.view(len(storage.blocks), -1, self.piece)

    def prepare(self) -> None:
        """Nothing is needed."""

    def stored(self, hidden: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """The hidden states."""
        return hidden

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """A function that writes tokens piece by piece."""
        return partial(self._write, self._pieces_of(table, owner, positions))

    def _write(self, pieces: torch.Tensor, layer: int, hidden: torch.Tensor) -> None:
        self.pieces[layer].index_copy_(0, pieces, hidden.reshape(-1, self.piece))

    def length(self, num_tokens: int) -> int:
        """The number itself: nothing is padded."""
        return num_tokens

    def attender(self, table: Ints, num_tokens: Ints, visible: torch.Tensor) -> AttendCached:
        """Attention to what `reader` reads."""
        return by_reader(self.reader(table, num_tokens), visible)

    def reader(self, table: Ints, num_tokens: Ints) -> Read:
        """A function that reads token by token, so that no padding is rebuilt."""
        size, length = len(table), int(num_tokens.max())
        owner = np.repeat(np.arange(size), num_tokens)
        positions = np.arange(len(owner)) - (num_tokens.cumsum() - num_tokens)[owner]
        pieces, device = self._pieces_of(table, owner, positions), self.pieces.device
        rows = None if len(owner) == size * length else on_device(owner * length + positions, device)
        return partial(self._read, pieces, on_device(positions, device), rows, (size, length))

    def _read(
        self,
        pieces: torch.Tensor,
        positions: torch.Tensor,
        rows: torch.Tensor | None,
        shape: tuple[int, int],
        layer: int,
    ) -> torch.Tensor:
        """K and V of tokens at these positions, put into these rows of the scratch; None: all rows in order."""
        hidden = self.pieces[layer].index_select(0, pieces).view(-1, self.hidden_size)
        kv = self.decoder.keys_and_values(layer, hidden, positions)
        if rows is not None:
            # Rows beyond a request's last token keep older content, which is finite.
            all_rows = self.scratch.rows(shape[0] * shape[1])
            all_rows.index_copy_(0, rows, kv.flatten(1))
            kv = all_rows.view(-1, *kv.shape[1:])
        return kv.view(*shape, *kv.shape[1:])

    def _pieces_of(self, table: Ints, owner: Ints, positions: Ints) -> torch.Tensor:
        """Indices of the pieces of tokens, [t * pieces of each]."""
        held, each = self.tokens_per_block, self.hidden_size // self.piece
        first = table[owner, positions // held] * self.pieces_per_block + positions % held * each
        return on_device((first[:, None] + np.arange(each)).ravel(), self.pieces.device)

    def as_read(self, kv: torch.Tensor) -> torch.Tensor:
        """The same K and V, for they are rebuilt by the same product."""
        return kv
