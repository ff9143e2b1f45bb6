"""Hidden states by kernels: absorbed for few new tokens of a request, rebuilt in tiles for more."""

from __future__ import annotations

import math
from functools import partial

import torch

from aptsched.support.checks import Ints
from engine.models.decoder import Decoder
from engine.models.kv_parts import KVParts
from engine.runner.forms.form_blocks import AttendCached, Write
from engine.runner.forms.hidden import HiddenBlocks
from engine.runner.forms.wide_products import wide_bmm
from engine.runner.kernels.kv import rows_writer
from engine.runner.kernels.mix import Mix, Tiles, power_of_two
from engine.runner.kernels.programs.hidden import score_hidden, sum_hidden
from engine.runner.kernels.programs.rebuilt import attend_rebuilt, score_rebuilt

ROWS, COLUMNS = 64, 64  # rows of a program, and cached tokens of a step
STEP = 64  # values of hidden states that a step of a product takes
SUMMED = 128  # values of hidden states that a program sums


class HiddenKernels:
    """`HiddenBlocks` by kernels.

    Up to `absorb_up_to` new tokens of a request are absorbed: without RoPE in two products over the hidden states,
    whose rows are the heads; with RoPE K is made in tiles for the scores, and V is absorbed. For more, K and V are
    made in tiles. Either is a launch a layer for all entries, two where absorbed.

    Parameters
    ----------
    decoder : Decoder
    form : HiddenBlocks
    """

    reads_prefills = False

    def __init__(self, decoder: Decoder, form: HiddenBlocks) -> None:
        self.put = form.put
        self.decoder, self.absorb_up_to, self.hidden_size = decoder, form.absorb_up_to, form.hidden_size
        self.blocks, config = form.pieces.view(len(form.pieces), -1, form.pieces_per_block * form.piece), decoder.config
        self.kv_heads, self.dim = config.num_kv_heads, config.head_dim
        self.sharing, self.scale = config.num_heads // config.num_kv_heads, 1 / math.sqrt(config.head_dim)
        self.shape = {
            "BLOCK_VALUES": self.blocks.stride(1),
            "HELD": form.tokens_per_block,
            "KV_HEADS": self.kv_heads,
            "SHARING": self.sharing,
            "HIDDEN": self.hidden_size,
            "ROWS": max(ROWS, power_of_two(self.sharing)),
            "COLUMNS": COLUMNS,
        }
        self.head = {"DIM": self.dim, "PADDED": power_of_two(self.dim // 2), "STEP": STEP}

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """All tokens in one launch."""
        return rows_writer(self.blocks, self.shape["HELD"], self.hidden_size, table, owner, positions, self.put)

    def attender(self, mix: Mix) -> AttendCached:
        """Entries with few new tokens absorbed, those with many rebuilt; the former stand first."""
        num_few = int((mix.count <= self.absorb_up_to).sum())
        few, many = mix.some(slice(num_few)), mix.some(slice(num_few, None))
        parts: list[AttendCached] = []
        if len(few.count):
            parts.append(self._absorbed(few))
        if len(many.count):
            parts.append(partial(self._rebuilt, self._by_tokens(many)))
        return partial(_in_parts, parts, [few.num_tokens, many.num_tokens])

    def _by_tokens(self, mix: Mix) -> Tiles:
        """Tiles for a program for each KV head."""
        return Tiles.of(mix, self.put, self.shape["ROWS"] // self.sharing)

    def _absorbed(self, mix: Mix) -> AttendCached:
        by_rows = Tiles.of(mix, self.put, self.shape["ROWS"], self.kv_heads * self.sharing)
        by_tokens = None if self.decoder.rope is None else self._by_tokens(mix)
        return partial(self._absorb, by_rows, by_tokens)

    def _absorb(self, by_rows: Tiles, by_tokens: Tiles | None, layer: int, q: torch.Tensor) -> torch.Tensor:
        parts, tokens, length = self.decoder.kv_parts(layer), len(q), by_rows.width * self.shape["HELD"]
        scores = q.new_empty((tokens, q.shape[1], length), dtype=torch.float32)
        if by_tokens is None:
            self._score_absorbed(parts, by_rows, layer, q, scores)
        else:
            self._score_turned(parts, by_tokens, layer, q, scores)
        sums = scores.new_empty(self.kv_heads, tokens * self.sharing, self.hidden_size)
        sum_hidden[len(by_rows.tiles), -(-self.hidden_size // SUMMED)](
            scores, self.blocks[layer], *_arrays(by_rows), sums, by_rows.width, tokens, length,
            STEP=SUMMED, **self.shape,
        )  # fmt: skip
        found = wide_bmm(sums, parts.value_matrix.transpose(1, 2))
        if parts.value_bias is not None:
            found = found + parts.value_bias[:, None]
        by_token = found.view(self.kv_heads, tokens, self.sharing, self.dim).transpose(0, 1)
        return by_token.reshape(q.shape).to(q.dtype)

    def _score_absorbed(self, parts: KVParts, tiles: Tiles, layer: int, q: torch.Tensor, scores: torch.Tensor) -> None:
        """Scores of queries that the matrix of K is multiplied into."""
        by_head = q.view(len(q), self.kv_heads, self.sharing, self.dim).transpose(0, 1)
        queries = wide_bmm(by_head.reshape(self.kv_heads, -1, self.dim), parts.key_matrix).float()
        score_hidden[len(tiles.tiles), -(-scores.shape[2] // COLUMNS)](
            queries, self.blocks[layer], *_arrays(tiles), scores, self.scale, tiles.width, len(q), scores.shape[2],
            STEP=STEP, **self.shape,
        )  # fmt: skip

    def _score_turned(self, parts: KVParts, tiles: Tiles, layer: int, q: torch.Tensor, scores: torch.Tensor) -> None:
        """Scores with K that is made and turned in tiles."""
        score_rebuilt[len(tiles.tiles), -(-scores.shape[2] // COLUMNS), self.kv_heads](
            q, self.blocks[layer], *_arrays(tiles), scores, *self._keys(parts), *self._angles(), self.scale,
            tiles.width, scores.shape[2], **self._made(parts), **self.shape,
        )  # fmt: skip

    def _rebuilt(self, tiles: Tiles, layer: int, q: torch.Tensor) -> torch.Tensor:
        parts, out = self.decoder.kv_parts(layer), torch.empty_like(q)
        value_bias = parts.value_matrix if parts.value_bias is None else parts.value_bias
        attend_rebuilt[len(tiles.tiles), self.kv_heads](
            q, self.blocks[layer], *_arrays(tiles), out, *self._keys(parts), parts.value_matrix, value_bias,
            *self._angles(), self.scale, tiles.width, ALL=power_of_two(self.dim), **self._made(parts), **self.shape,
        )  # fmt: skip
        return out

    def _keys(self, parts: KVParts) -> tuple[torch.Tensor, torch.Tensor]:
        """The matrix of K and its bias; where there is none, any tensor, which is not read."""
        return parts.key_matrix, parts.key_matrix if parts.key_bias is None else parts.key_bias

    def _angles(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines; without RoPE any tensors, which are not read."""
        rope = self.decoder.rope
        return (self.blocks, self.blocks) if rope is None else (rope.cos, rope.sin)

    def _made(self, parts: KVParts) -> dict[str, int]:
        """How K and V are made."""
        return {**self.head, "HAS_BIAS": parts.key_bias is not None, "IS_TURNED": self.decoder.rope is not None}


def _arrays(tiles: Tiles) -> tuple[torch.Tensor, ...]:
    return tiles.table, tiles.start, tiles.first, tiles.count, tiles.tiles


def _in_parts(parts: list[AttendCached], counts: list[int], layer: int, q: torch.Tensor) -> torch.Tensor:
    """The outcome of one part after the other; a part without tokens has no function."""
    new = torch.split(q.contiguous(), [count for count in counts if count])
    found = [attend(layer, each) for attend, each in zip(parts, new, strict=True)]
    return found[0] if len(found) == 1 else torch.cat(found)
