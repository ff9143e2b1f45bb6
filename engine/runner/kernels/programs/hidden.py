"""Attention over cached hidden states themselves: scores of all heads, and sums of states weighed by them.

Rows are new tokens times heads. Queries and sums are [num_kv_heads, T, heads that share one, hidden], as the products
by the matrices of each KV head take and give them. A row of scores has one number for each cached token. Numbers that
are wider than the hidden states take part in a product as two terms of the states' dtype.
"""

import triton
import triton.language as tl

from engine.runner.kernels.programs.softmax import LOWEST, step_of_softmax


@triton.jit
def wide_dot(wide, narrow):
    """The product of numbers in fp32 and others that may be in 16 bits, in fp32."""
    high = wide.to(narrow.dtype)
    found = tl.dot(high, narrow, input_precision="ieee")
    if narrow.dtype != tl.float32:
        found += tl.dot((wide - high.to(tl.float32)).to(narrow.dtype), narrow, input_precision="ieee")
    return found


@triton.jit
def score_hidden(
    queries, cache, table, start, first, count, tiles, scores,
    scale, table_width, num_tokens, length, BLOCK_VALUES: tl.constexpr, HELD: tl.constexpr,
    KV_HEADS: tl.constexpr, SHARING: tl.constexpr, HIDDEN: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Scores of projected queries, fp32, with hidden states. Grid: tiles of rows, steps of `COLUMNS` cached tokens."""
    tile, column = tl.program_id(0), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    entry, begin = tl.load(tiles + 2 * tile), tl.load(tiles + 2 * tile + 1)
    fed, cached = tl.load(count + entry), tl.load(start + entry)
    if tl.program_id(1) * COLUMNS < cached + fed:
        row = begin + tl.arange(0, ROWS)
        token, head = row // (KV_HEADS * SHARING), row % (KV_HEADS * SHARING)
        is_row, at = token < fed, tl.load(first + entry) + token
        query = ((head // SHARING * num_tokens + at) * SHARING + head % SHARING) * HIDDEN
        is_cached = column < cached + fed
        block = tl.load(table + entry * table_width + column // HELD, mask=is_cached, other=0)
        base = block * BLOCK_VALUES + column % HELD * HIDDEN
        found = tl.zeros([ROWS, COLUMNS], tl.float32)
        for step in range(0, HIDDEN, STEP):
            value = step + tl.arange(0, STEP)
            is_value = (value < HIDDEN)[None, :]
            wide = tl.load(queries + query[:, None] + value[None, :], mask=is_row[:, None] & is_value, other=0.0)
            state = tl.load(cache + base[:, None] + value[None, :], mask=is_cached[:, None] & is_value, other=0.0)
            found += wide_dot(wide, tl.trans(state))
        sees = is_cached[None, :] & (column[None, :] <= (cached + token)[:, None])
        to = (at * KV_HEADS * SHARING + head) * length
        found = tl.where(sees, found * scale, float("-inf"))
        tl.store(scores + to[:, None] + column[None, :], found, mask=is_row[:, None] & is_cached[None, :])


@triton.jit
def sum_hidden(
    scores, cache, table, start, first, count, tiles, sums,
    table_width, num_tokens, length, BLOCK_VALUES: tl.constexpr, HELD: tl.constexpr,
    KV_HEADS: tl.constexpr, SHARING: tl.constexpr, HIDDEN: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Sums of hidden states, weighed by the softmax of scores. Grid: tiles of rows, steps of `STEP` of their values."""
    tile, value = tl.program_id(0), tl.program_id(1) * STEP + tl.arange(0, STEP)
    entry, begin = tl.load(tiles + 2 * tile), tl.load(tiles + 2 * tile + 1)
    fed, cached = tl.load(count + entry), tl.load(start + entry)
    row = begin + tl.arange(0, ROWS)
    token, head = row // (KV_HEADS * SHARING), row % (KV_HEADS * SHARING)
    is_row, at = token < fed, tl.load(first + entry) + token
    line = (at * KV_HEADS * SHARING + head) * length
    largest = tl.full([ROWS], LOWEST, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    found = tl.zeros([ROWS, STEP], tl.float32)
    for first_column in range(0, cached + fed, COLUMNS):
        column = first_column + tl.arange(0, COLUMNS)
        is_cached = column < cached + fed
        score = tl.load(
            scores + line[:, None] + column[None, :], mask=is_row[:, None] & is_cached[None, :], other=float("-inf")
        )
        shares, shrunk, largest = step_of_softmax(score, largest)
        block = tl.load(table + entry * table_width + column // HELD, mask=is_cached, other=0)
        base = block * BLOCK_VALUES + column % HELD * HIDDEN
        in_state = is_cached[:, None] & (value < HIDDEN)[None, :]
        state = tl.load(cache + base[:, None] + value[None, :], mask=in_state, other=0.0)
        total = total * shrunk + tl.sum(shares, 1)
        found = found * shrunk[:, None] + wide_dot(shares, state)
    to = ((head // SHARING * num_tokens + at) * SHARING + head % SHARING) * HIDDEN
    result = found / tl.where(is_row, total, 1.0)[:, None]
    tl.store(sums + to[:, None] + value[None, :], result, mask=is_row[:, None] & (value < HIDDEN)[None, :])
