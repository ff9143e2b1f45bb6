"""K and V by kernels, as the model computes them or in 8 bits."""

from __future__ import annotations

import math
from functools import partial

import torch

from aptsched.support.checks import Ints
from engine.models.config import ModelConfig
from engine.runner.device.upload import Put
from engine.runner.forms.form_blocks import AttendCached, Write
from engine.runner.forms.int8 import LARGEST, LARGEST_SCALE, LARGEST_SCALE_ELSE, LEAST_SCALE, Int8Blocks
from engine.runner.forms.kv import KVBlocks
from engine.runner.kernels.mix import Mix, Tiles, power_of_two
from engine.runner.kernels.programs.kv import attend_kv, join
from engine.runner.kernels.programs.write import write_in_8_bits, write_rows

FEW_ROWS, ROWS = 16, 64  # rows of a program where all tokens are decodes, and else
COLUMNS = 64  # cached tokens of a step
NUM_PROGRAMS = 512  # below it contexts are split over programs, as long as each has
LEAST_TOKENS = 256  # cached tokens
STEP = 1024  # values that a program writes


class _Attention:
    """What both ways to store K and V share: the launch of attention to them."""

    def __init__(self, config: ModelConfig, held: int, block_values: int, num_programs: int, put: Put) -> None:
        self.put = put
        self.kv_heads, self.dim = config.num_kv_heads, config.head_dim
        self.sharing = config.num_heads // config.num_kv_heads
        self.held, self.block_values, self.num_programs = held, block_values, num_programs

    def attender(self, mix: Mix, cache: torch.Tensor, scales: torch.Tensor | None) -> AttendCached:
        """Attention to K and V of all layers, [num_layers, num_blocks, any], and scales of 8 bits."""
        rows = max(power_of_two(self.sharing), FEW_ROWS if (mix.count == 1).all() else ROWS)
        tiles = Tiles.of(mix, self.put, rows // self.sharing)
        free = self.num_programs // (len(tiles.tiles) * self.kv_heads)
        splits = max(1, min(free, -(-tiles.width * self.held // LEAST_TOKENS)))
        return partial(self._attend, tiles, cache, scales, rows, splits)

    def _attend(
        self, tiles: Tiles, cache: torch.Tensor, scales: torch.Tensor | None, rows: int, splits: int, layer: int,
        q: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        q = q.contiguous()
        out, num_rows = torch.empty_like(q), q.shape[0] * q.shape[1]
        parts = q.new_empty((splits, num_rows, self.dim), dtype=torch.float32) if splits > 1 else out
        maxima, sums = (q.new_empty((splits, num_rows), dtype=torch.float32) for _ in range(2))
        by = cache if scales is None else scales
        attend_kv[len(tiles.tiles), self.kv_heads, splits](
            q, cache[layer], by[layer], tiles.table, tiles.start, tiles.first, tiles.count, tiles.tiles, out,
            parts, maxima, sums, 1 / math.sqrt(self.dim), tiles.width, num_rows,
            BLOCK_VALUES=self.block_values, BLOCK_SCALES=by.stride(1), HELD=self.held, KV_HEADS=self.kv_heads,
            SHARING=self.sharing, DIM=self.dim, PADDED=power_of_two(self.dim), ROWS=rows, COLUMNS=COLUMNS,
            SPLITS=splits, IN_8_BITS=scales is not None,
        )  # fmt: skip
        if splits > 1:
            join[(-(-num_rows // FEW_ROWS),)](
                parts, maxima, sums, out, num_rows,
                DIM=self.dim, PADDED=power_of_two(self.dim), ROWS=FEW_ROWS, SPLITS=splits,
            )  # fmt: skip
        return out


class KVKernels:
    """`KVBlocks` by kernels.

    Parameters
    ----------
    config : ModelConfig
    form : KVBlocks
    num_programs : int
        Contexts are split where there are fewer programs.
    """

    reads_prefills = True

    def __init__(self, config: ModelConfig, form: KVBlocks, num_programs: int = NUM_PROGRAMS) -> None:
        self.put = form.put
        self.blocks, self.held, self.row = form.blocks, form.tokens_per_block, form.rows.shape[-1]
        self._attention = _Attention(config, self.held, self.blocks.stride(1), num_programs, self.put)

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """All tokens in one launch."""
        return rows_writer(self.blocks, self.held, self.row, table, owner, positions, self.put)

    def attender(self, mix: Mix) -> AttendCached:
        """All entries in one launch, and one more to join parts of long contexts where there are few."""
        return self._attention.attender(mix, self.blocks, None)


class Int8Kernels:
    """`Int8Blocks` by kernels: values and scales are read as they are stored.

    Parameters
    ----------
    config : ModelConfig
    form : Int8Blocks
    dtype : torch.dtype
        Of K and V.
    num_programs : int
        As for `KVKernels`.
    """

    reads_prefills = True

    def __init__(
        self, config: ModelConfig, form: Int8Blocks, dtype: torch.dtype, num_programs: int = NUM_PROGRAMS
    ) -> None:
        self.put = form.put
        self.values, self.scales, self.held = form.values, form.scales, form.tokens_per_block
        self.heads, self.dim = form.heads, form.head_dim
        self.largest_scale = LARGEST_SCALE.get(dtype, LARGEST_SCALE_ELSE)
        self._attention = _Attention(config, self.held, self.values.stride(1), num_programs, self.put)

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """All tokens quantised and written in one launch."""
        places = places_of(self.held, table, owner, positions, self.put)
        return partial(self._write, *places)

    def _write(self, blocks: torch.Tensor, places: torch.Tensor, layer: int, kv: torch.Tensor) -> None:
        write_in_8_bits[len(kv), self.heads](
            kv.contiguous(), self.values[layer], self.scales[layer], blocks, places, self.largest_scale,
            HEADS=self.heads, DIM=self.dim, PADDED=power_of_two(self.dim), BLOCK_VALUES=self.values.stride(1),
            BLOCK_SCALES=self.scales.stride(1), LARGEST=LARGEST, LEAST=LEAST_SCALE,
        )  # fmt: skip

    def attender(self, mix: Mix) -> AttendCached:
        """All entries in one launch, and one more to join parts of long contexts where there are few."""
        return self._attention.attender(mix, self.values, self.scales)


def rows_writer(
    blocks: torch.Tensor, held: int, width: int, table: Ints, owner: Ints, positions: Ints, put: Put
) -> Write:
    """A function that writes rows of so many values to blocks, [num_layers, num_blocks, any], as they are."""
    return partial(_write_rows, blocks, width, *places_of(held, table, owner, positions, put))


def _write_rows(
    cache: torch.Tensor, width: int, blocks: torch.Tensor, places: torch.Tensor, layer: int, rows: torch.Tensor
) -> None:
    write_rows[len(rows), -(-width // STEP)](
        rows.contiguous(), cache[layer], blocks, places, WIDTH=width, BLOCK_VALUES=cache.stride(1), STEP=STEP
    )


def places_of(held: int, table: Ints, owner: Ints, positions: Ints, put: Put) -> tuple[torch.Tensor, torch.Tensor]:
    """The blocks of tokens, [t], and their places in these, [t]."""
    return put(table[owner, positions // held]), put(positions % held)
