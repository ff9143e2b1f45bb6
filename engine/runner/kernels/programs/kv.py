"""Attention to K and V in the blocks of a cache, plain or in 8 bits.

A program has some new tokens of one request, one KV head, and one part of the cached tokens; its rows are these tokens
times the query heads that share the KV head. It goes through the block table in steps of `COLUMNS` tokens, with a
running largest score and sum (FlashAttention, arXiv 2205.14135). Parts of long contexts are joined by `join`
(Flash-Decoding). Nothing beyond a request's last token is read.
"""

import triton
import triton.language as tl

from engine.runner.kernels.programs.softmax import LOWEST, step_of_softmax


@triton.jit
def attend_kv(
    q, cache, scales, table, start, first, count, tiles, out, parts, maxima, sums,
    scale, table_width, num_rows, BLOCK_VALUES: tl.constexpr, BLOCK_SCALES: tl.constexpr, HELD: tl.constexpr,
    KV_HEADS: tl.constexpr, SHARING: tl.constexpr, DIM: tl.constexpr, PADDED: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, SPLITS: tl.constexpr, IN_8_BITS: tl.constexpr,
):  # fmt: skip
    """Grid: tiles of new tokens, KV heads, parts of the cached tokens."""
    tile, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    entry, begin = tl.load(tiles + 2 * tile), tl.load(tiles + 2 * tile + 1)
    fed, cached = tl.load(count + entry), tl.load(start + entry)
    row = tl.arange(0, ROWS)
    token = begin + row // SHARING
    is_row = (row < ROWS // SHARING * SHARING) & (token < fed)
    at = ((tl.load(first + entry) + token) * KV_HEADS + head) * SHARING + row % SHARING
    dim = tl.arange(0, PADDED)
    in_row = is_row[:, None] & (dim < DIM)[None, :]
    queries = tl.load(q + at[:, None] * DIM + dim[None, :], mask=in_row, other=0.0)
    end = cached + tl.minimum(begin + ROWS // SHARING, fed)
    each = tl.cdiv(tl.cdiv(end, SPLITS), COLUMNS) * COLUMNS
    stop = tl.minimum(end, (split + 1) * each)
    largest, total = tl.full([ROWS], LOWEST, tl.float32), tl.zeros([ROWS], tl.float32)
    found = tl.zeros([ROWS, PADDED], tl.float32)
    for step in range(split * each, stop, COLUMNS):
        column = step + tl.arange(0, COLUMNS)
        is_cached = column < stop
        block = tl.load(table + entry * table_width + column // HELD, mask=is_cached, other=0)
        place = column % HELD
        base = block * BLOCK_VALUES + (place * 2 * KV_HEADS + head) * DIM
        in_column = is_cached[:, None] & (dim < DIM)[None, :]
        keys = tl.load(cache + base[:, None] + dim[None, :], mask=in_column, other=0)
        values = tl.load(cache + (base + KV_HEADS * DIM)[:, None] + dim[None, :], mask=in_column, other=0)
        if IN_8_BITS:
            by = block * BLOCK_SCALES + place * 2 * KV_HEADS + head
            key_scale = tl.load(scales + by, mask=is_cached, other=0).to(tl.float32)
            value_scale = tl.load(scales + by + KV_HEADS, mask=is_cached, other=0).to(tl.float32)
            keys = (keys.to(tl.float32) * key_scale[:, None]).to(queries.dtype)
            values = (values.to(tl.float32) * value_scale[:, None]).to(queries.dtype)
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        sees = is_cached[None, :] & (column[None, :] <= (cached + token)[:, None])
        scores = tl.where(sees, scores, float("-inf"))
        shares, shrunk, largest = step_of_softmax(scores, largest)
        total = total * shrunk + tl.sum(shares, 1)
        found = found * shrunk[:, None] + tl.dot(shares.to(values.dtype), values, input_precision="ieee")
    if SPLITS == 1:
        result = found / tl.where(is_row, total, 1.0)[:, None]
        tl.store(out + at[:, None] * DIM + dim[None, :], result.to(out.dtype.element_ty), mask=in_row)
    else:
        part = split * num_rows + at
        tl.store(parts + part[:, None] * DIM + dim[None, :], found, mask=in_row)
        tl.store(maxima + part, largest, mask=is_row)
        tl.store(sums + part, total, mask=is_row)


@triton.jit
def join(
    parts, maxima, sums, out, num_rows,
    DIM: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """The outcome of rows from those of parts of the cached tokens. Grid: tiles of rows."""
    row, dim = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, PADDED)
    is_row = row < num_rows
    in_row = is_row[:, None] & (dim < DIM)[None, :]
    largest = tl.full([ROWS], float("-inf"), tl.float32)
    for split in range(SPLITS):
        part = tl.load(maxima + split * num_rows + row, mask=is_row, other=0.0)
        largest = tl.maximum(largest, part)
    total = tl.zeros([ROWS], tl.float32)
    found = tl.zeros([ROWS, PADDED], tl.float32)
    for split in range(SPLITS):
        at = split * num_rows + row
        weight = tl.exp(tl.load(maxima + at, mask=is_row, other=0.0) - largest)
        total += weight * tl.load(sums + at, mask=is_row, other=1.0)
        found += weight[:, None] * tl.load(parts + at[:, None] * DIM + dim[None, :], mask=in_row, other=0.0)
    result = found / total[:, None]
    tl.store(out + row[:, None] * DIM + dim[None, :], result.to(out.dtype.element_ty), mask=in_row)
