"""Attention of one new token of each request to its K and V in blocks, which are read as they lie there."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

import numpy as np

from aptsched.scheduling.forms import BLOCK_SIZE
from engine.runner.loops.team import name_in_loops

numba: Any = import_module("numba")  # a part of it has types
types, carray = numba.types, numba.carray

Loops = TypeVar("Loops", bound=Callable[..., Any])
FASTER = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; NaN and inf stay what they are
F32 = np.float32
LOG2_E = F32(1.4426950408889634)
LEAST_POWER = F32(-126)  # the least power of two that has all its digits
# 2^f for f in [-0.5, 0.5], up to a rounding of float32: the coefficients of f^1 to f^6, about ln(2)^i / i!.
A_1, A_2, A_3 = F32(6.9314718e-1), F32(2.4022651e-1), F32(5.5504109e-2)
A_4, A_5, A_6 = F32(9.6181291e-3), F32(1.3333558e-3), F32(1.5403530e-4)

name_in_loops("omp_get_thread_num")
name_in_loops("omp_get_num_threads")
_thread: Any = types.ExternalFunction("omp_get_thread_num", types.int32())
_num_threads: Any = types.ExternalFunction("omp_get_num_threads", types.int32())


def vectorised(loops: Loops) -> Loops:
    """Decorates a function of numbers and arrays to be compiled, with sums in the order that is fastest."""
    return cast(Loops, numba.njit(cache=True, fastmath=FASTER, error_model="numpy")(loops))


@vectorised
def exponentials(x: Any, powers: Any, bits: Any, largest: Any) -> Any:
    """x, [n], becomes e^(x - largest), whose sum is returned; powers, [n] and float32, are bits as int32."""
    for t in range(len(x)):
        y = (x[t] - largest) * LOG2_E
        if y < LEAST_POWER:
            y = LEAST_POWER
        whole = np.int32(y - F32(0.5))  # y is at most 0, so that this is the nearest number
        rest = y - F32(whole)
        x[t] = F32(1) + rest * (A_1 + rest * (A_2 + rest * (A_3 + rest * (A_4 + rest * (A_5 + rest * A_6)))))
        bits[t] = (whole + np.int32(127)) << np.int32(23)
    total = F32(0)
    for t in range(len(x)):
        x[t] *= powers[t]
        total += x[t]
    return total


@vectorised
def softmax(x: Any, powers: Any, bits: Any) -> None:
    """Softmax of x, [n], in place."""
    largest = x[0]
    for t in range(len(x)):
        if not x[t] <= largest:  # NaN too
            largest = x[t]
    share = F32(1) / exponentials(x, powers, bits, largest)
    for t in range(len(x)):
        x[t] *= share


@vectorised
def scores(queries: Any, kv: Any, head: Any, found: Any, num_tokens: Any) -> None:
    """Products of queries, [sharing, dim], and K of a head, of kv [most, 2, heads, dim], to found, [sharing, most]."""
    for t in range(num_tokens):
        key = kv[t, 0, head]
        for g in range(len(queries)):
            query, total = queries[g], F32(0)
            for d in range(len(key)):
                total += query[d] * key[d]
            found[g, t] = total


@vectorised
def weighed(shares: Any, kv: Any, head: Any, out: Any, num_tokens: Any) -> None:
    """Sums of V of a head, of kv [most, 2, heads, dim], by shares, [sharing, most], to out, [sharing, dim]."""
    for g in range(len(out)):
        for d in range(out.shape[1]):
            out[g, d] = F32(0)
    for first in range(0, num_tokens, BLOCK_SIZE):
        for g in range(len(out)):
            for d in range(out.shape[1]):
                total = out[g, d]
                for t in range(BLOCK_SIZE):
                    total += shares[g, first + t] * kv[first + t, 1, head, d]
                out[g, d] = total


@vectorised
def widen(values: Any, found: Any) -> None:
    """bf16 to float32, [n] both, as bits: 16 more of them, which are 0."""
    for j in range(len(values)):
        found[j] = np.uint32(values[j]) << np.uint32(16)


@vectorised
def copy(values: Any, found: Any) -> None:
    """Numbers as they are, [n]."""
    for j in range(len(values)):
        found[j] = values[j]


@vectorised
def attend_some(wide: Any, narrow: Any, table: Any, num_tokens: Any, q: Any, out: Any, parts: Any, scale: Any) -> None:
    """Attention of every so manyth request, or part of its heads, in this thread; arguments are those of `_attend`.

    What is read of a request stays in the core's cache until it has been multiplied.
    """
    size, kv_heads, sharing, dim = out.shape
    most, heads = table.shape[1] * BLOCK_SIZE, kv_heads // parts
    kv = np.empty((most, 2, heads, dim), F32)
    rows = kv.reshape(most, 2, heads * dim).view(np.uint32)
    shares, powers, queries = np.empty((sharing, most), F32), np.empty(most, F32), np.empty((sharing, dim), F32)
    bits = powers.view(np.int32)
    for item in range(_thread(), size * parts, _num_threads()):
        i, first = item // parts, item % parts * heads
        for t in range(num_tokens[i]):
            token = table[i, t // BLOCK_SIZE] * BLOCK_SIZE + t % BLOCK_SIZE
            for side in range(2):
                at = (side * kv_heads + first) * dim
                if len(narrow):
                    widen(narrow[token, at : at + heads * dim], rows[t, side])
                else:
                    copy(wide[token, at : at + heads * dim], rows[t, side])
        until = -(-num_tokens[i] // BLOCK_SIZE) * BLOCK_SIZE
        for t in range(num_tokens[i], until):
            kv[t] = F32(0)
        for head in range(heads):
            for g in range(sharing):
                for d in range(dim):
                    queries[g, d] = q[i, ((first + head) * sharing + g) * dim + d] * scale
            scores(queries, kv, head, shares, num_tokens[i])
            for g in range(sharing):
                softmax(shares[g, : num_tokens[i]], powers, bits)
                shares[g, num_tokens[i] : until] = F32(0)
            weighed(shares, kv, head, out[i, first + head], num_tokens[i])


def _attend(given: Any) -> None:
    """Attention of decodes, by the addresses of arrays; called in all threads.

    They are, one after the other,

        float32  [1]                                    the factor of scores
        int64    [9]                                    the sizes that are named below, in their order
        any      [rows, 2 kv_heads dim]                 the cache, float32 or, if is_narrow is 1, bf16
        int64    [size, columns]                        blocks of `BLOCK_SIZE` rows, of each request
        int64    [size]                                 tokens of each
        float32  [size, step]                           Q, in the first kv_heads sharing dim numbers of each row
        float32  [size, kv_heads, sharing, dim]         the outcome

    and the heads of a request are cut into so many parts, which threads may share.
    """
    scale, sizes = carray(given[0], (1,), F32)[0], carray(given[1], (9,), np.int64)
    size, kv_heads, sharing, dim, columns, step, rows, parts, is_narrow = sizes
    width = 2 * kv_heads * dim
    attend_some(
        carray(given[2], ((1 - is_narrow) * rows, width), np.uint32),
        carray(given[2], (is_narrow * rows, width), np.uint16),
        carray(given[3], (size, columns), np.int64),
        carray(given[4], (size,), np.int64),
        carray(given[5], (size, step), F32),
        carray(given[6], (size, kv_heads, sharing, dim), F32),
        parts,
        scale,
    )


_signature = types.void(types.CPointer(types.voidptr))
attend_address: int = numba.cfunc(_signature, cache=True, error_model="numpy")(_attend).address
