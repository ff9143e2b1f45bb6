"""Attention over hidden states with K, or K and V, of one KV head made of them in tiles that never leave the program.

K of a tile of cached tokens is their hidden states times the head's matrix, rounded as a cached K is, and turned by
its positions where the model has RoPE; its two halves, which RoPE pairs, are made apart.
"""

import triton
import triton.language as tl

from engine.runner.kernels.programs.softmax import LOWEST, step_of_softmax


@triton.jit
def half_heads(
    cache, base, is_cached, matrix, head, offset, bias,
    DIM: tl.constexpr, SIZE: tl.constexpr, PADDED: tl.constexpr, HIDDEN: tl.constexpr, COLUMNS: tl.constexpr,
    STEP: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """`SIZE` dimensions from `offset` on of a head's K or V of cached tokens, fp32 [COLUMNS, PADDED], rounded."""
    dim = tl.arange(0, PADDED)
    weight = (head * DIM + offset + dim) * HIDDEN
    found = tl.zeros([COLUMNS, PADDED], tl.float32)
    for step in range(0, HIDDEN, STEP):
        value = step + tl.arange(0, STEP)
        in_state = is_cached[:, None] & (value < HIDDEN)[None, :]
        state = tl.load(cache + base[:, None] + value[None, :], mask=in_state, other=0.0)
        in_weight = (dim < SIZE)[:, None] & (value < HIDDEN)[None, :]
        part = tl.load(matrix + weight[:, None] + value[None, :], mask=in_weight, other=0.0)
        found += tl.dot(state, tl.trans(part), input_precision="ieee")
    if HAS_BIAS:
        found += tl.load(bias + head * DIM + offset + dim, mask=dim < SIZE, other=0.0).to(tl.float32)[None, :]
    return found.to(cache.dtype.element_ty).to(tl.float32)


@triton.jit
def scores_of_keys(
    queries, cache, base, is_cached, column, key_matrix, key_bias, cos, sin, head, low_at, in_low,
    DIM: tl.constexpr, PADDED: tl.constexpr, HIDDEN: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
    HAS_BIAS: tl.constexpr, IS_TURNED: tl.constexpr,
):  # fmt: skip
    """Scores, [ROWS, COLUMNS], of queries at `low_at` with K that is made of hidden states."""
    half = tl.arange(0, PADDED)
    low = half_heads(
        cache, base, is_cached, key_matrix, head, 0, key_bias, DIM, DIM // 2, PADDED, HIDDEN, COLUMNS, STEP, HAS_BIAS
    )  # fmt: skip
    high = half_heads(
        cache, base, is_cached, key_matrix, head, DIM // 2, key_bias, DIM, DIM // 2, PADDED, HIDDEN, COLUMNS, STEP,
        HAS_BIAS,
    )  # fmt: skip
    if IS_TURNED:
        angle = column[:, None] * (DIM // 2) + half[None, :]
        is_angle = is_cached[:, None] & (half < DIM // 2)[None, :]
        by_cos = tl.load(cos + angle, mask=is_angle, other=0.0).to(tl.float32)
        by_sin = tl.load(sin + angle, mask=is_angle, other=0.0).to(tl.float32)
        low, high = low * by_cos - high * by_sin, high * by_cos + low * by_sin
    first = tl.load(queries + low_at, mask=in_low, other=0.0)
    second = tl.load(queries + low_at + DIM // 2, mask=in_low, other=0.0)
    found = tl.dot(first, tl.trans(low.to(cache.dtype.element_ty)), input_precision="ieee")
    return found + tl.dot(second, tl.trans(high.to(cache.dtype.element_ty)), input_precision="ieee")


@triton.jit
def score_rebuilt(
    queries, cache, table, start, first, count, tiles, scores, key_matrix, key_bias, cos, sin,
    scale, table_width, length, BLOCK_VALUES: tl.constexpr, HELD: tl.constexpr, KV_HEADS: tl.constexpr,
    SHARING: tl.constexpr, HIDDEN: tl.constexpr, DIM: tl.constexpr, PADDED: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr, HAS_BIAS: tl.constexpr, IS_TURNED: tl.constexpr,
):  # fmt: skip
    """Scores with K, for `sum_hidden`. Grid: tiles of new tokens, steps of cached tokens, KV heads."""
    tile, column, head = tl.program_id(0), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS), tl.program_id(2)
    entry, begin = tl.load(tiles + 2 * tile), tl.load(tiles + 2 * tile + 1)
    fed, cached = tl.load(count + entry), tl.load(start + entry)
    if tl.program_id(1) * COLUMNS < cached + fed:
        row, half = tl.arange(0, ROWS), tl.arange(0, PADDED)
        token = begin + row // SHARING
        is_row = (row < ROWS // SHARING * SHARING) & (token < fed)
        at = ((tl.load(first + entry) + token) * KV_HEADS + head) * SHARING + row % SHARING
        is_cached = column < cached + fed
        block = tl.load(table + entry * table_width + column // HELD, mask=is_cached, other=0)
        base = block * BLOCK_VALUES + column % HELD * HIDDEN
        found = scores_of_keys(
            queries, cache, base, is_cached, column, key_matrix, key_bias, cos, sin, head,
            at[:, None] * DIM + half[None, :], is_row[:, None] & (half < DIM // 2)[None, :],
            DIM, PADDED, HIDDEN, COLUMNS, STEP, HAS_BIAS, IS_TURNED,
        )  # fmt: skip
        sees = is_cached[None, :] & (column[None, :] <= (cached + token)[:, None])
        found = tl.where(sees, found * scale, float("-inf"))
        to = at[:, None] * length + column[None, :]
        tl.store(scores + to, found, mask=is_row[:, None] & is_cached[None, :])


@triton.jit
def attend_rebuilt(
    queries, cache, table, start, first, count, tiles, out, key_matrix, key_bias, value_matrix, value_bias, cos, sin,
    scale, table_width, BLOCK_VALUES: tl.constexpr, HELD: tl.constexpr, KV_HEADS: tl.constexpr,
    SHARING: tl.constexpr, HIDDEN: tl.constexpr, DIM: tl.constexpr, PADDED: tl.constexpr, ALL: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr, HAS_BIAS: tl.constexpr, IS_TURNED: tl.constexpr,
):  # fmt: skip
    """The outcome with K and V. Grid: tiles of new tokens, KV heads. PADDED is for half a head, ALL for a whole one."""
    tile, head = tl.program_id(0), tl.program_id(1)
    entry, begin = tl.load(tiles + 2 * tile), tl.load(tiles + 2 * tile + 1)
    fed, cached = tl.load(count + entry), tl.load(start + entry)
    row, half, dim = tl.arange(0, ROWS), tl.arange(0, PADDED), tl.arange(0, ALL)
    token = begin + row // SHARING
    is_row = (row < ROWS // SHARING * SHARING) & (token < fed)
    at = ((tl.load(first + entry) + token) * KV_HEADS + head) * SHARING + row % SHARING
    largest = tl.full([ROWS], LOWEST, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    found = tl.zeros([ROWS, ALL], tl.float32)
    end = cached + tl.minimum(begin + ROWS // SHARING, fed)
    for step in range(0, end, COLUMNS):
        column = step + tl.arange(0, COLUMNS)
        is_cached = column < end
        block = tl.load(table + entry * table_width + column // HELD, mask=is_cached, other=0)
        base = block * BLOCK_VALUES + column % HELD * HIDDEN
        score = scores_of_keys(
            queries, cache, base, is_cached, column, key_matrix, key_bias, cos, sin, head,
            at[:, None] * DIM + half[None, :], is_row[:, None] & (half < DIM // 2)[None, :],
            DIM, PADDED, HIDDEN, COLUMNS, STEP, HAS_BIAS, IS_TURNED,
        )  # fmt: skip
        sees = is_cached[None, :] & (column[None, :] <= (cached + token)[:, None])
        score = tl.where(sees, score * scale, float("-inf"))
        values = half_heads(
            cache, base, is_cached, value_matrix, head, 0, value_bias, DIM, DIM, ALL, HIDDEN, COLUMNS, STEP, HAS_BIAS
        ).to(cache.dtype.element_ty)  # fmt: skip
        shares, shrunk, largest = step_of_softmax(score, largest)
        total = total * shrunk + tl.sum(shares, 1)
        found = found * shrunk[:, None] + tl.dot(shares.to(values.dtype), values, input_precision="ieee")
    result = found / tl.where(is_row, total, 1.0)[:, None]
    to = at[:, None] * DIM + dim[None, :]
    tl.store(out + to, result.to(out.dtype.element_ty), mask=is_row[:, None] & (dim < DIM)[None, :])
