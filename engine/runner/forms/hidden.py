"""Hidden states: few new tokens attend to them as they are, many to K and V that are rebuilt from them.

Source: Apt-Serve, section 4, where K and V are always rebuilt; `absorb` has the other way.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch

from aptsched.scheduling.forms import BLOCK_SIZE
from aptsched.support.checks import Ints
from engine.models.decoder import Decoder
from engine.models.matmul import packs, padded
from engine.models.rope import turn
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.absorb import by_absorption
from engine.runner.forms.attend_to_kv import by_reader
from engine.runner.forms.form_blocks import AttendCached, Read, Write, owners
from engine.runner.forms.scratch import Scratch

CACHED_BYTES = 2**22  # for each thread: of hidden states that both products read from caches


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
    absorb_up_to : int
        The most new tokens of a request for which attention is absorbed; for more, K and V are rebuilt.
    """

    stores_hidden = True

    def __init__(self, decoder: Decoder, storage: CacheStorage, scratch: Scratch, absorb_up_to: int) -> None:
        self.decoder, self.scratch, self.absorb_up_to = decoder, scratch, absorb_up_to
        self.put = storage.upload.put
        self.hidden_size, block_values = decoder.config.hidden_size, BLOCK_SIZE * storage.row
        self.tokens_per_block = block_values // self.hidden_size
        self.piece = math.gcd(block_values, self.hidden_size)
        self.pieces_per_block = block_values // self.piece
        self.pieces = storage.blocks.view(len(storage.blocks), -1, self.piece)
        absorbed = self.hidden_size * self.pieces.element_size()  # and K, where RoPE turns it
        absorbed += 0 if decoder.rope is None else storage.token_bytes // 2
        self.token_bytes = absorbed if absorb_up_to else storage.token_bytes

    def prepare(self) -> None:
        """Nothing is needed."""

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """A function that writes tokens piece by piece."""
        return partial(self._write, self._pieces_of(table, owner, positions))

    def _write(self, pieces: torch.Tensor, layer: int, hidden: torch.Tensor) -> None:
        self.pieces[layer].index_copy_(0, pieces, hidden.reshape(-1, self.piece))

    def length(self, num_tokens: int) -> int:
        """The number itself: nothing is padded."""
        return num_tokens

    def attender(self, table: Ints, num_tokens: Ints, visible: torch.Tensor) -> AttendCached:
        """Absorbed attention for few new tokens; for more, attention to what `reader` reads."""
        if visible.shape[2] > self.absorb_up_to:
            return by_reader(self.reader(table, num_tokens), visible)
        shape = len(table), visible.shape[3]
        # Padding is the request's last token once more: finite, and not visible.
        owner, positions = np.divmod(np.arange(math.prod(shape)), shape[1])
        clipped = np.minimum(positions, num_tokens[owner] - 1)
        if self.decoder.rope is None:
            read = partial(self._read_padded, self._pieces_of(table, owner, clipped).view(len(table), -1))
            return by_absorption(self.decoder, read, visible, self._at_once(*shape))
        rows = (num_tokens.cumsum() - num_tokens)[owner] + clipped
        is_padded, pieces = (clipped < positions).any(), self._pieces_of(table, *self._with_more(*owners(num_tokens)))
        where, order = self.put(clipped), self.put(rows) if is_padded else None
        return by_absorption(self.decoder, partial(self._read_turned, pieces, where, order, shape), visible, len(table))

    def _with_more(self, owner: Ints, positions: Ints) -> tuple[Ints, Ints]:
        """With the last token as often more as a packed product would pad its rows, so that it need not copy them."""
        more = padded(len(owner)) - len(owner) if packs(self.pieces.device, self.pieces.dtype) else 0
        return np.pad(owner, (0, more), "edge"), np.pad(positions, (0, more), "edge")

    def _at_once(self, size: int, length: int) -> int:
        """How many of the requests are read before their hidden states are multiplied: on a CPU, as cores cache."""
        if self.pieces.device.type != "cpu":
            return size
        return max(1, torch.get_num_threads() * CACHED_BYTES // (length * self.token_bytes))

    def _read_padded(self, pieces: torch.Tensor, layer: int, some: slice) -> tuple[torch.Tensor, None]:
        """Hidden states alone, of pieces by request."""
        read = pieces[some]
        return self._gathered(layer, read.flatten()).view(len(read), -1, self.hidden_size), None

    def _read_turned(
        self,
        pieces: torch.Tensor,
        positions: torch.Tensor,
        order: torch.Tensor | None,
        shape: tuple[int, int],
        layer: int,
        some: slice,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states and K of all requests, turned by its positions; `order` puts padding in, after the product.

        Where `order` is None, nothing is padded but the rows of the product.
        """
        hidden, product, rope = self._gathered(layer, pieces), self.decoder.kv_parts(layer).keys, self.decoder.rope
        assert product is not None and rope is not None
        keys = product(hidden)
        if order is not None:
            hidden, keys = hidden.index_select(0, order), keys.index_select(0, order)
        hidden, keys = hidden[: len(positions)], keys[: len(positions)]
        by_token = keys.view(len(keys), -1, self.decoder.config.head_dim)
        turned = torch.empty_like(by_token.transpose(0, 1), memory_format=torch.contiguous_format)
        turn(by_token, rope.angles(positions), out=turned.transpose(0, 1))
        return hidden.view(*shape, -1), turned

    def reader(self, table: Ints, num_tokens: Ints) -> Read:
        """A function that reads token by token, so that no padding is rebuilt."""
        size, length = len(table), int(num_tokens.max())
        owner, positions = owners(num_tokens)
        pieces = self._pieces_of(table, owner, positions)
        rows = None if len(owner) == size * length else self.put(owner * length + positions)
        return partial(self._read, pieces, self.put(positions), rows, (size, length))

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

    def _gathered(self, layer: int, pieces: torch.Tensor) -> torch.Tensor:
        """Hidden states, [t, hidden], of tokens by their pieces; the next reading overwrites them."""
        found = self.scratch.values(len(pieces) * self.piece).view(-1, self.piece)
        return torch.index_select(self.pieces[layer], 0, pieces, out=found).view(-1, self.hidden_size)

    def _pieces_of(self, table: Ints, owner: Ints, positions: Ints) -> torch.Tensor:
        """Indices of the pieces of tokens, [t * pieces of each]."""
        held, each = self.tokens_per_block, self.hidden_size // self.piece
        first = table[owner, positions // held] * self.pieces_per_block + positions % held * each
        return self.put((first[:, None] + np.arange(each)).ravel())

    def as_read(self, kv: torch.Tensor) -> torch.Tensor:
        """The same K and V, for they are rebuilt by the same product."""
        return kv
