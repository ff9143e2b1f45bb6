"""Rows of new tokens into the blocks of a cache, as they are or in 8 bits."""

import triton
import triton.language as tl


@triton.jit
def write_rows(
    rows, cache, blocks, places, WIDTH: tl.constexpr, BLOCK_VALUES: tl.constexpr, STEP: tl.constexpr
):  # fmt: skip
    """Each token's row of `WIDTH` values to its place in its block. Grid: tokens, pieces of a row."""
    token, value = tl.program_id(0), tl.program_id(1) * STEP + tl.arange(0, STEP)
    to = tl.load(blocks + token) * BLOCK_VALUES + tl.load(places + token) * WIDTH
    row = tl.load(rows + token.to(tl.int64) * WIDTH + value, mask=value < WIDTH)
    tl.store(cache + to + value, row, mask=value < WIDTH)


@triton.jit
def write_in_8_bits(
    rows, values, scales, blocks, places, most,
    HEADS: tl.constexpr, DIM: tl.constexpr, PADDED: tl.constexpr, BLOCK_VALUES: tl.constexpr,
    BLOCK_SCALES: tl.constexpr, LARGEST: tl.constexpr, LEAST: tl.constexpr,
):  # fmt: skip
    """Each token's K and V, [HEADS, DIM], quantised as `forms.int8.quantised` says. Grid: tokens, heads of K and V."""
    token, head, dim = tl.program_id(0), tl.program_id(1), tl.arange(0, PADDED)
    row = tl.load(rows + (token.to(tl.int64) * HEADS + head) * DIM + dim, mask=dim < DIM, other=0.0)
    exact = row.to(tl.float32)
    largest = tl.max(tl.abs(exact))
    is_finite = tl.sum((exact - exact == 0.0).to(tl.int32)) == PADDED
    scale = tl.minimum(tl.maximum(tl.div_rn(largest, LARGEST * 1.0), LEAST), most)
    scale = tl.where(is_finite, scale, float("nan")).to(row.dtype).to(tl.float16)
    share = tl.div_rn(exact, tl.zeros([PADDED], tl.float32) + scale.to(tl.float32))
    low = tl.floor(share)
    over = share - low
    is_odd = low - 2.0 * tl.floor(low * 0.5) > 0.5
    rounded = low + tl.where((over > 0.5) | ((over == 0.5) & is_odd), 1.0, 0.0)  # half to even, as torch rounds
    bounded = tl.minimum(tl.maximum(tl.where(is_finite, rounded, 0.0), -1.0 * LARGEST), 1.0 * LARGEST)
    block, place = tl.load(blocks + token), tl.load(places + token)
    to = block * BLOCK_VALUES + (place * HEADS + head) * DIM
    tl.store(values + to + dim, bounded.to(tl.int8), mask=dim < DIM)
    tl.store(scales + block * BLOCK_SCALES + place * HEADS + head, scale)
