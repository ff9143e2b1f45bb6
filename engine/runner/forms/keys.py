"""K before RoPE, through which V is read too: about half of K and V, where K has as many values as a hidden state."""

from __future__ import annotations

import math
from functools import partial

import torch

from aptsched.scheduling.forms import BLOCK_SIZE
from aptsched.scheduling.token_sizes import num_kept
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from engine.models.decoder import Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.attend_to_kv import by_reader
from engine.runner.forms.form_blocks import AttendCached, Read, Write, padded_table
from engine.runner.forms.key_rows import KeyRows
from engine.runner.forms.projections import projections
from engine.runner.forms.scratch import Scratch
from engine.runner.forms.values_from_keys import values_from_keys

MAX_AMPLIFICATION = 12.0  # in fp32 logits are then those with K and V within 1e-4 + 1e-5 of the largest


class KeysBlocks:
    """A block holds, token by token, a row of K and of a few numbers of V (`KeyRows`), in the model's dtype.

    In each layer it is [tokens_per_block, width], with width = hidden_size + num_kept(hidden_size); the rest of the
    block stays unused. V is a linear function of a row, so attention sums the rows themselves, weighed for each head,
    and takes the head's values of the sum: V of cached tokens is not made. For more than `absorb_up_to` new tokens of a
    request it is, as that is cheaper then. Products are taken in float32 at least.

    Parameters
    ----------
    decoder : Decoder
    storage : CacheStorage
    scratch : Scratch
        Rows of K and V, which all forms read into.
    """

    stores_hidden = False

    def __init__(self, decoder: Decoder, storage: CacheStorage, scratch: Scratch) -> None:
        self.decoder, self.scratch, self.put = decoder, scratch, storage.upload.put
        self.num_heads, self.head_dim = decoder.config.num_heads, decoder.config.head_dim
        hidden_size = decoder.config.hidden_size
        self.width = hidden_size + num_kept(hidden_size)
        self.tokens_per_block = BLOCK_SIZE * storage.row // self.width
        self.row_shape = (self.tokens_per_block, self.width)
        values = self.tokens_per_block * self.width
        self.tokens = storage.blocks[..., :values].view(*storage.blocks.shape[:2], *self.row_shape)
        self.read_blocks = Scratch(values, decoder.dtype, decoder.device)
        self.dtype = torch.promote_types(decoder.dtype, torch.float32)
        self.token_bytes = self.width * self.dtype.itemsize
        self.layers: list[KeyRows] = []

    def prepare(self) -> None:
        """Find V from K in every layer."""
        config, rope = self.decoder.config, self.decoder.rope
        angles = None if rope is None else (rope.cos.to(self.dtype), rope.sin.to(self.dtype))
        for layer in range(len(self.layers), config.num_layers):
            key, value = projections(self.decoder, layer)
            found = values_from_keys(key, value, num_kept(config.hidden_size))
            if not found.amplification <= MAX_AMPLIFICATION:
                times = f"{found.amplification:.3g} times the rounding of K would be that of V in layer {layer}"
                raise InputError(f"wanted_forms: keys is not accepted ({times}); up to {MAX_AMPLIFICATION:g} times is")
            self.layers.append(KeyRows(found, key.bias, angles, config.head_dim, self.dtype))

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """A function that writes the row of each token to its place in its block."""
        held = self.tokens_per_block
        where = self.put(table[owner, positions // held]), self.put(positions % held)
        return partial(self._write, where, self.put(positions))

    def _write(
        self, where: tuple[torch.Tensor, torch.Tensor], positions: torch.Tensor, layer: int, kv: torch.Tensor
    ) -> None:
        self.tokens[layer].index_put_(where, self.layers[layer].made(kv, positions).to(self.tokens.dtype))

    def length(self, num_tokens: int) -> int:
        """Whole blocks."""
        return -(-num_tokens // self.tokens_per_block) * self.tokens_per_block

    def attender(self, table: Ints, num_tokens: Ints, visible: torch.Tensor) -> AttendCached:
        """Attention to sums of rows, or to what `reader` reads where there are many new tokens."""
        if visible.shape[2] > self.decoder.config.absorb_up_to:
            return by_reader(self.reader(table, num_tokens), visible)
        return partial(self._attend, self._blocks(table, num_tokens), visible)

    def _attend(self, blocks: torch.Tensor, visible: torch.Tensor, layer: int, q: torch.Tensor) -> torch.Tensor:
        this, rows = self.layers[layer], self._rows(layer, blocks, len(visible))
        queries = q.to(rows.dtype).view(len(visible), -1, self.num_heads, self.head_dim).transpose(1, 2)
        scores = queries @ this.scored(rows).permute(0, 2, 3, 1) / math.sqrt(self.head_dim)
        shares = scores.masked_fill_(~visible, -math.inf).softmax(-1)  # [size, num_heads, new, length]
        sums = (shares.flatten(1, 2) @ rows).view(*shares.shape[:3], self.width)
        return this.values_of_heads(sums).to(q.dtype)

    def reader(self, table: Ints, num_tokens: Ints) -> Read:
        """Block by block."""
        return partial(self._read, self._blocks(table, num_tokens), len(table))

    def _read(self, blocks: torch.Tensor, size: int, layer: int) -> torch.Tensor:
        this, rows = self.layers[layer], self._rows(layer, blocks, size)
        kv = self.scratch.rows(size * rows.shape[1]).view(size, -1, 2, self.num_heads, self.head_dim)
        kv[:, :, 0].copy_(this.keys(rows))
        kv[:, :, 1].copy_(this.values(rows))
        return kv

    def _blocks(self, table: Ints, num_tokens: Ints) -> torch.Tensor:
        """The blocks of so many tokens of each request, padded to the longest."""
        num_blocks = self.length(int(num_tokens.max())) // self.tokens_per_block
        return self.put(padded_table(table, num_blocks).ravel())

    def _rows(self, layer: int, blocks: torch.Tensor, size: int) -> torch.Tensor:
        """The rows of tokens, [size, length, width], in the dtype of products."""
        found = self.read_blocks.rows(len(blocks)).view(len(blocks), *self.row_shape)
        read = torch.index_select(self.tokens[layer], 0, blocks, out=found)
        return read.view(size, -1, self.width).to(self.dtype)

    def as_read(self, kv: torch.Tensor) -> torch.Tensor:
        """The same K and V: they are read as they are up to rounding."""
        return kv
