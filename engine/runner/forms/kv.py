"""K and V as the model computes them."""

from __future__ import annotations

from functools import partial

import torch

from aptsched.scheduling.forms import BLOCK_SIZE
from aptsched.support.checks import Ints
from engine.models.decoder import Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.attend_to_kv import by_reader
from engine.runner.forms.form_blocks import AttendCached, Read, Write, padded_table
from engine.runner.forms.scratch import Scratch
from engine.runner.loops.attention import decode_loops


class KVBlocks:
    """A block holds, token by token, K and then V of all heads, in the model's dtype.

    In each layer it is [BLOCK_SIZE, 2, num_kv_heads, head_dim], without gaps; so all blocks together are
    [num_blocks * BLOCK_SIZE, row] with row = 2 * num_kv_heads * head_dim values, and a token is one row.

    Parameters
    ----------
    decoder : Decoder
    storage : CacheStorage
    scratch : Scratch
        Rows of K and V, which all forms read into.
    """

    stores_hidden = False

    def __init__(self, decoder: Decoder, storage: CacheStorage, scratch: Scratch) -> None:
        self.blocks, self.scratch, self.tokens_per_block = storage.blocks, scratch, BLOCK_SIZE
        self.token_bytes, self.put = storage.token_bytes, storage.upload.put
        self.token_shape = (2, decoder.config.num_kv_heads, decoder.config.head_dim)
        self.rows = storage.blocks.view(len(storage.blocks), -1, storage.row)
        self.loops = decode_loops(self.rows, decoder.config.num_heads, *self.token_shape[1:])

    def prepare(self) -> None:
        """Nothing is needed."""

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """A function that writes each token to its row."""
        held = self.tokens_per_block
        rows = table[owner, positions // held] * held + positions % held
        return partial(self._write, self.put(rows))

    def _write(self, rows: torch.Tensor, layer: int, kv: torch.Tensor) -> None:
        self.rows[layer].index_copy_(0, rows, kv.flatten(1))

    def length(self, num_tokens: int) -> int:
        """Whole blocks."""
        return -(-num_tokens // self.tokens_per_block) * self.tokens_per_block

    def attender(self, table: Ints, num_tokens: Ints, visible: torch.Tensor) -> AttendCached:
        """Attention of decodes by compiled loops where they run; otherwise to what `reader` reads."""
        if self.loops is not None and visible.shape[2] == 1:
            return self.loops.attender(table, num_tokens)
        return by_reader(self.reader(table, num_tokens), visible)

    def reader(self, table: Ints, num_tokens: Ints) -> Read:
        """Block by block."""
        length = self.length(int(num_tokens.max()))
        blocks = padded_table(table, length // self.tokens_per_block).ravel()
        return partial(self._read, self.put(blocks), (len(table), length, *self.token_shape))

    def _read(self, blocks: torch.Tensor, shape: tuple[int, ...], layer: int) -> torch.Tensor:
        found = self.scratch.rows(len(blocks) * self.tokens_per_block).view(len(blocks), -1)
        return torch.index_select(self.blocks[layer], 0, blocks, out=found).view(shape)

    def as_read(self, kv: torch.Tensor) -> torch.Tensor:
        """The same K and V, for this form is lossless."""
        return kv
