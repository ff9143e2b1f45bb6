"""K and V in 8 bits, with a scale for each token and head: about half of bf16 or a quarter of fp32, but lossy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from aptsched.support.checks import Ints
from engine.models.decoder import MLP_ROWS, Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.attend_to_kv import by_reader
from engine.runner.forms.form_blocks import AttendCached, Read, Write, padded_table
from engine.runner.forms.scratch import Scratch

LARGEST = 127  # the largest quantised value; -128 is not used, so that both signs have the same range
LEAST_SCALE = 2.0**-24  # the smallest above 0 in fp16
# The largest scales: powers of two, exact in every dtype, and in fp16's range, the one for fp16 even times 127.
LARGEST_SCALE = {torch.float16: 2.0**9}
LARGEST_SCALE_ELSE = 2.0**15


class Int8Blocks:
    """A block holds the quantised values of its tokens, and after them their scales.

    In each layer, with t = `tokens_per_block` tokens,

        values   int8      [t, 2, num_kv_heads, head_dim]   from byte 0 on
        scales   float16   [t, 2, num_kv_heads]             from byte t * 2 * num_kv_heads * head_dim on

    so a token takes 2 * num_kv_heads * (head_dim + 2) bytes, and t is how many tokens fit into a block; the rest of the
    block stays unused. Both parts begin at an even byte, as float16 requires. A value is read as value * scale.

    Parameters
    ----------
    decoder : Decoder
    storage : CacheStorage
    scratch : Scratch
        Rows of K and V, which all forms read into.
    """

    stores_hidden = False

    def __init__(self, decoder: Decoder, storage: CacheStorage, scratch: Scratch) -> None:
        self.heads, self.head_dim = 2 * decoder.config.num_kv_heads, decoder.config.head_dim
        self.row, self.scratch, self.token_bytes = storage.row, scratch, storage.token_bytes
        self.put = storage.upload.put
        self.blocks = storage.blocks.view(torch.int8)  # [num_layers, num_blocks, bytes]
        num_bytes = self.blocks.shape[-1]
        self.tokens_per_block = num_bytes // (self.heads * (self.head_dim + 2))
        self.values, self.scales = self._parts(self.blocks)
        self.read_blocks = Scratch(num_bytes, torch.int8, self.blocks.device)

    def _parts(self, blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Views of blocks, [..., bytes], as values [..., t, heads, head_dim] and scales [..., t, heads] of K and V."""
        held, outer = self.tokens_per_block, blocks.shape[:-1]
        end = held * self.row
        values, scales = blocks[..., :end], blocks[..., end : end + 2 * held * self.heads].view(torch.float16)
        return values.view(*outer, held, self.heads, self.head_dim), scales.view(*outer, held, self.heads)

    def prepare(self) -> None:
        """Nothing is needed."""

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """A function that writes each token to its place in its block."""
        held = self.tokens_per_block
        blocks = self.put(table[owner, positions // held])
        return partial(self._write, blocks, self.put(positions % held))

    def _write(self, blocks: torch.Tensor, places: torch.Tensor, layer: int, kv: torch.Tensor) -> None:
        for rows in _slices(len(kv)):
            values, scales = quantised(kv[rows].flatten(1, 2))
            where = (blocks[rows], places[rows])
            self.values[layer].index_put_(where, values)
            self.scales[layer].index_put_(where, scales)

    def length(self, num_tokens: int) -> int:
        """Whole blocks."""
        return -(-num_tokens // self.tokens_per_block) * self.tokens_per_block

    def attender(self, table: Ints, num_tokens: Ints, visible: torch.Tensor) -> AttendCached:
        """Attention to what `reader` reads."""
        return by_reader(self.reader(table, num_tokens), visible)

    def reader(self, table: Ints, num_tokens: Ints) -> Read:
        """Block by block."""
        num_blocks = self.length(int(num_tokens.max())) // self.tokens_per_block
        return partial(self._read, self.put(padded_table(table, num_blocks).ravel()), len(table))

    def _read(self, blocks: torch.Tensor, size: int, layer: int) -> torch.Tensor:
        read = torch.index_select(self.blocks[layer], 0, blocks, out=self.read_blocks.rows(len(blocks)))
        kv = self.scratch.rows(len(blocks) * self.tokens_per_block)
        dequantise(*self._parts(read), out=kv.view(len(blocks), -1, self.heads, self.head_dim))
        return kv.view(size, -1, 2, self.heads // 2, self.head_dim)

    def as_read(self, kv: torch.Tensor) -> torch.Tensor:
        """K and V quantised and back, so that tokens attend to each other as later ones will to them."""
        found = torch.empty_like(kv)
        for rows in _slices(len(kv)):
            dequantise(*quantised(kv[rows]), out=found[rows])
        return found


def quantised(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise x, [..., head_dim]: whole numbers from -127 to 127 of the same shape, and scales, [...], in fp16.

    A scale is max |x| / 127, rounded to a number that both fp16 and the dtype of x hold; x / scale is rounded to the
    nearest whole number. So the error of a value is at most half a scale, plus rounding in the dtype, except for these:

    - Scales below 2^-14 have fewer digits in fp16, and none is below 2^-24: the error of such small values is at most
      4e-6, and zeros stay zeros.
    - No scale is above 2^15, or 2^9 in fp16, so that all values read are finite: values beyond 127 scales are clipped.
      K and V are far below that, unless a model is broken.
    - A row that is not finite gets a scale of NaN and is read as NaN, so that the fault shows.
    """
    exact = x.float() if x.element_size() < 4 else x
    largest = exact.abs().amax(-1)
    scale = (largest / LARGEST).clamp_(LEAST_SCALE, LARGEST_SCALE.get(x.dtype, LARGEST_SCALE_ELSE))
    scale = scale.masked_fill_(~largest.isfinite(), torch.nan).to(x.dtype).to(torch.float16)
    values = (exact / scale.to(exact.dtype)[..., None]).round_().clamp_(-LARGEST, LARGEST)
    return values.to(torch.int8), scale


def dequantise(values: torch.Tensor, scales: torch.Tensor, out: torch.Tensor) -> None:
    """Write values, [..., head_dim], times scales, [...], to `out`; both are exact in the dtype of `out`."""
    out.copy_(values).mul_(scales.to(out.dtype)[..., None])


def _slices(num_tokens: int) -> Iterator[slice]:
    """Slices of tokens that are quantised at once: as many as go through an MLP at once, to bound the memory."""
    return (slice(first, first + MLP_ROWS) for first in range(0, num_tokens, MLP_ROWS))
