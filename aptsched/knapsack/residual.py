"""The problem that is left to decide once every required request has its lightest form."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.compiled import row_by_row
from aptsched.support.errors import InfeasibleError

Options = tuple[Floats, Ints, Ints, Ints]  # gain and blocks, [k, n], tokens and seqs, [n]
FEW = 16  # the greatest common divisor of so many entries is mostly that of all
APART = 2.0**-50  # of a gain: enough for slopes to differ
TINY = 2.0**-700  # where all gains are below, their unit is smaller: a price for 2**32 blocks would be subnormal


class Residual(NamedTuple):
    """Options above the base form of each request, and what is free for them.

    The base form is 0 (not served); of a required request its lightest one (of those, the most valuable). Option f is
    the problem's form f. Options that gain nothing are not offered; neither are those that do not fit beside the bases.

    Attributes
    ----------
    order : int array, [n], or None
        The problem's row of each request; None where they stand as in the problem.
    base : int array, [n], or None
        Base form of each request; None where nothing is required and all are 0.
    value : float array, [n]
        The value of each request's first form, by which requests of equal slope are put in order.
    gain : float array, [k, n]
        Value above the base's, in `unit_s`; 0 or less where an option is not offered. It is rounded where the base's
        value is not 0, but of two options of a request the more valuable one gains more.
    blocks : int array, [k, n]
        Blocks above the base's, in units of `unit` blocks.
    tokens, seqs : int array, [n]
        Tokens and sequences that any option adds; 0 where required, for the base uses them already.
    limits : tuple of float
        What is free beside the bases: units of blocks, tokens, sequences; inf where unlimited or never short.
    unit : int
        The greatest common divisor of these blocks: weights and capacity scaled together give the same residual.
    unit_s : float
        A power of two, in seconds: 1, unless all gains are tiny.
    """

    order: Ints | None
    base: Ints | None
    value: Floats
    gain: Floats
    blocks: Ints
    tokens: Ints
    seqs: Ints
    limits: tuple[float, float, float]
    unit: int
    unit_s: float

    @property
    def options(self) -> Options:
        """What loops over options are given."""
        return self.gain, self.blocks, self.tokens, self.seqs

    def forms(self, option: Ints) -> Ints:
        """The problem's form of each request, [n], for options in this order (0 = the base)."""
        if self.base is not None:
            option = np.where(option > 0, option, self.base)
        if self.order is None:
            return option
        form = np.empty_like(option)
        form[self.order] = option
        return form


def overload(problem: BatchProblem) -> InfeasibleError | None:
    """The smallest overload of the required requests, or None where they fit.

    Each in its lightest form uses the fewest blocks; tokens and sequences are the same in every form.
    """
    required = problem.required
    if required is None:
        return None
    blocks = int(problem.weights[required].min(axis=1).sum()) - problem.capacity
    tokens = 0
    if problem.max_tokens is not None and problem.num_tokens is not None:
        tokens = int(problem.num_tokens[required].sum()) - problem.max_tokens
    seqs = 0 if problem.max_seqs is None else int(required.sum()) - problem.max_seqs
    if max(blocks, tokens, seqs) <= 0:
        return None
    return InfeasibleError(max(blocks, 0), max(tokens, 0), max(seqs, 0))


def reduce(problem: BatchProblem, beside: bool = True, ordered: bool = False) -> Residual:
    """The residual of a problem; raises InfeasibleError where the required requests do not fit. O(n (k + log n)).

    With `beside=False`, options that fit alone but not beside the bases are offered too. The bound of multipliers
    counts these options, so its best multipliers are those of this LP. With `ordered=True`, requests stand in an order
    that depends on their data alone: so they do, too, where tokens or sequences may be short.
    """
    short = overload(problem)
    if short is not None:
        raise short
    order = canonical_order(problem) if ordered else None
    rows = slice(None) if order is None else order
    gain, blocks, base = problem.values.T[:, rows], problem.weights.T[:, rows], None
    value, seqs = row_by_row(gain[0]), repeated(1, gain.shape[1])
    tokens = repeated(0, gain.shape[1]) if problem.num_tokens is None else problem.num_tokens[rows]
    room, max_tokens, max_seqs = problem.capacity, problem.max_tokens, problem.max_seqs
    if problem.required is not None:
        must, fits = problem.required[rows], problem.fits_alone()[rows].T
        row = lightest(gain, np.where(fits, blocks, np.iinfo(np.int64).max))
        held = np.where(must, np.take_along_axis(blocks, row[None], axis=0)[0], 0)
        room -= int(held.sum())
        max_tokens = None if max_tokens is None else max_tokens - int(tokens[must].sum())
        max_seqs = None if max_seqs is None else max_seqs - int(must.sum())
        gain, blocks = (
            np.where(must, above(np.take_along_axis(gain, row[None], axis=0), gain) * fits, gain),
            blocks - held,
        )
        base, tokens, seqs = np.where(must, row + 1, 0), tokens * ~must, seqs * ~must
    limited = [(blocks, room, problem.capacity), (tokens, max_tokens, problem.max_tokens), (seqs, max_seqs, None)]
    for use, left, alone in limited:
        most = left if beside else alone
        if most is not None and use.item(use.argmax()) > most:
            gain, blocks = gain * (use <= most), blocks * (use <= most)
    unit, unit_s = common_unit(blocks), 1.0 if gain.item(0) > TINY else unit_of(gain)
    gain = gain if unit_s == 1.0 else np.maximum(gain, 0.0) / unit_s
    blocks = blocks if unit == 1 else blocks // unit
    free = math.inf if room // unit >= int(np.add.reduce(blocks, axis=None)) else float(room // unit)
    side = [(max_tokens, tokens), (max_seqs, seqs)]
    short_tokens, short_seqs = (never_short(limit, use, gain, blocks, free) for limit, use in side)
    if not ordered and min(short_tokens, short_seqs) < math.inf:
        return reduce(problem, beside, ordered=True)
    gain, blocks, tokens, seqs = row_by_row(gain), row_by_row(blocks), row_by_row(tokens), row_by_row(seqs)
    return Residual(order, base, value, gain, blocks, tokens, seqs, (free, short_tokens, short_seqs), unit, unit_s)


@lru_cache(maxsize=16)
def repeated(each: int, n: int) -> Ints:
    """The same number n times; kept, as decisions need it again and again."""
    return row_by_row(np.full(n, each, np.int64))


def canonical_order(problem: BatchProblem) -> Ints:
    """Rows by falling values of the first form, ties by all other data."""
    order: Ints = (-problem.values[:, 0]).argsort(kind="stable")
    if np.diff(problem.values[order, 0]).all():
        return order
    keys: list[Floats | Ints | Bools] = [*problem.weights.T]
    keys += [array for array in (problem.num_tokens, problem.required) if array is not None]
    return np.lexsort((*keys, *-problem.values.T[1:], -problem.values[:, 0]))


def lightest(gain: Floats, blocks: Ints) -> Ints:
    """The row of each request with the fewest blocks, [n]; of several the most valuable."""
    row: Ints = np.where(blocks == blocks.min(axis=0), gain, -np.inf).argmax(axis=0)
    return row


def above(base: Floats, value: Floats) -> Floats:
    """Values, [k, n], minus the base's, [n]; where two are rounded to the same, the larger value gets 2**-50 more."""
    gain: Floats = value - base
    each = np.arange(gain.shape[1])
    for low, high in pairwise(value.argsort(axis=0, kind="stable")):
        less, more = gain[low, each], gain[high, each]
        same = (more <= less) & (value[high, each] > value[low, each])
        gain[high, each] = np.where(same, less + APART * np.abs(less), more)
    return gain


def unit_of(gain: Floats) -> float:
    """The unit of gains, a power of two, in seconds: 1, or the next power above the largest gain where that is tiny."""
    largest = gain.item(gain.argmax())
    return math.ldexp(1.0, math.frexp(largest)[1]) if 0 < largest <= TINY else 1.0


def common_unit(blocks: Ints) -> int:
    """The greatest common divisor of all entries, at least 1; mostly known from a few of them."""
    few = math.gcd(*blocks[0, :FEW].tolist())
    return few if few == 1 else max(1, int(np.gcd.reduce(blocks, axis=None)))


def never_short(limit: int | None, use: Ints, gain: Floats, blocks: Ints, free: float) -> float:
    """The limit, or inf if all requests together cannot exceed it, or no selection that fits into the free blocks can.

    The second holds where no offered option uses more of it per block than the limit has per free block.
    """
    if limit is None or use.sum() <= limit:
        return math.inf
    if 1 <= free <= limit:
        more = use > blocks * (limit // int(free))  # of what fits at most the limit, so it cannot overflow
        if not (more & (gain > 0)).any():
            return math.inf
    return math.inf if use.dot(gain.max(axis=0) > 0) <= limit else float(limit)
