"""The problem that is left to decide once every required request has its lightest form."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.arrays import all_of, any_of, row_by_row
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.constant import constant
from aptsched.support.errors import InfeasibleError

FEW = 16  # the greatest common divisor of so many entries is mostly that of all
APART = 2.0**-50  # of a gain: enough for slopes to differ
TINY = 2.0**-700  # where all gains are below, their unit is smaller: a price for 2**32 blocks would be subnormal


class Residual(NamedTuple):
    """Options above the base form of each request, and what is free for them.

    The base form is 0 (not served); of a required request its lightest one (of those, the most valuable). Options that
    gain nothing are not offered; neither are those that do not fit beside the bases, whose gain is set to 0. Requests
    stand in an order that depends on their data alone, so that breaking ties by position makes answers invariant under
    permutation.

    Attributes
    ----------
    rows : int array, [n], or slice
        The problem's row of each request; all of them where they stand in order already.
    ordered : bool
        Whether they stand in that order: they need not where memory is the only limit.
    base : int array, [n], or None
        Base form of each request; None where nothing is required and all are 0.
    skipped : int
        How many of the first forms are left out, so that option f is form f + skipped: where some options do not fit,
        the first and the last forms are left out as long as no request is offered them.
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

    rows: Ints | slice
    ordered: bool
    base: Ints | None
    skipped: int
    value: Floats
    gain: Floats
    blocks: Ints
    tokens: Ints
    seqs: Ints
    limits: tuple[float, float, float]
    unit: int
    unit_s: float

    @property
    def num_requests(self) -> int:
        """Number of requests, n."""
        return int(self.gain.shape[1])

    def forms(self, option: Ints) -> Ints:
        """The problem's form of each request, [n], for options in this order (0 = the base)."""
        if self.skipped:
            option = option + self.skipped * (option > 0)
        if self.base is not None:
            option = np.where(option > 0, option, self.base)
        if isinstance(self.rows, slice):
            return option
        form = np.empty_like(option)
        form[self.rows] = option
        return form


def overload(problem: BatchProblem) -> InfeasibleError | None:
    """The smallest overload of the required requests, or None where they fit.

    Each in its lightest form uses the fewest blocks; tokens and sequences are the same in every form.
    """
    if problem.required is None:
        return None
    required = problem.required
    blocks = int(problem.weights[required].min(axis=1).sum()) - problem.capacity
    tokens = 0
    if problem.max_tokens is not None and problem.num_tokens is not None:
        tokens = int(problem.num_tokens[required].sum()) - problem.max_tokens
    seqs = 0 if problem.max_seqs is None else int(required.sum()) - problem.max_seqs
    if max(blocks, tokens, seqs) <= 0:
        return None
    return InfeasibleError(max(blocks, 0), max(tokens, 0), max(seqs, 0))


def reduce(problem: BatchProblem, beside: bool = True, ordered: bool = True) -> Residual:
    """The residual of a problem; raises InfeasibleError where the required requests do not fit. O(n (k + log n)).

    With `beside=False`, options that fit alone but not beside the bases are offered too. The bound of multipliers
    counts these options, so its best multipliers are those of this LP. With `ordered=False`, requests stand as in the
    problem if memory is the only limit: then their order matters only where there are ties.
    """
    short = overload(problem)
    if short is not None:
        raise short
    rows = canonical_order(problem) if ordered else slice(None)
    gain, blocks = row_by_row(problem.values.T), row_by_row(problem.weights.T)
    if not isinstance(rows, slice):
        gain, blocks = gain.take(rows, axis=1), blocks.take(rows, axis=1)
    n = gain.shape[1]
    tokens = constant(0, n) if problem.num_tokens is None else problem.num_tokens[rows]
    seqs, base = constant(1, n), None
    room, max_tokens, max_seqs = problem.capacity, problem.max_tokens, problem.max_seqs
    if problem.required is not None:
        at, base = np.flatnonzero(problem.required[rows]), np.zeros(n, np.int64)
        fits = problem.fits_alone()[rows][at].T
        base[at] = lightest(gain[:, at], np.where(fits, blocks[:, at], np.iinfo(np.int64).max)) + 1
        held = (base[at] - 1, at)
        room -= int(blocks[held].sum())
        gain, blocks, tokens, seqs = gain.copy(), blocks.copy(), tokens.copy(), seqs.copy()
        max_tokens = None if max_tokens is None else max_tokens - int(tokens[at].sum())
        max_seqs = None if max_seqs is None else max_seqs - len(at)
        gain[:, at] = above(gain[held], gain[:, at]) * fits
        blocks[:, at] -= blocks[held]
        tokens[at] = seqs[at] = 0
    skipped, most_blocks = 0, room if beside else problem.capacity
    if blocks.item(blocks.argmax()) > most_blocks:
        fits = blocks <= most_blocks
        kept = rows_offered((gain > 0) & fits)
        skipped, gain, blocks, fits = kept.start, gain[kept], blocks[kept], fits[kept]
        if not all_of(fits):
            gain, blocks = gain * fits, blocks * fits
    for use, limit in _limited(problem, tokens, seqs, max_tokens, max_seqs, beside):
        if use.item(use.argmax()) > limit:
            fits = use <= limit
            gain, blocks = gain * fits, blocks * fits
    unit, unit_s = common_unit(blocks), 1.0 if gain.item(0) > TINY else unit_of(gain)
    if unit_s < 1.0:
        gain = np.maximum(gain, 0.0) / unit_s
    if unit > 1:
        blocks = blocks // unit
    free = math.inf if room // unit >= int(np.add.reduce(blocks, axis=None)) else float(room // unit)
    most_tokens = never_short(max_tokens, tokens, gain, blocks, free)
    limits = (free, most_tokens, never_short(max_seqs, seqs, gain, blocks, free))
    if not ordered and min(limits[1:]) < math.inf:
        return reduce(problem, beside)
    value, gain, blocks = row_by_row(problem.values[:, 0][rows]), row_by_row(gain), row_by_row(blocks)
    tokens, seqs = row_by_row(tokens), row_by_row(seqs)
    return Residual(rows, ordered, base, skipped, value, gain, blocks, tokens, seqs, limits, unit, unit_s)


def _limited(
    problem: BatchProblem, tokens: Ints, seqs: Ints, max_tokens: int | None, max_seqs: int | None, beside: bool
) -> list[tuple[Ints, int]]:
    """For each side limit: what each request uses of it, [n], and the most that one request may use."""
    limited = []
    if max_tokens is not None and problem.max_tokens is not None:
        limited.append((tokens, max_tokens if beside else problem.max_tokens))
    if max_seqs is not None and beside:
        limited.append((seqs, max_seqs))
    return limited


def canonical_order(problem: BatchProblem) -> Ints | slice:
    """Rows by falling values, ties by all other data; a slice of all if they are in order, as in an arrival queue."""
    first = problem.values[:, 0]
    if all_of(first[1:] < first[:-1]):
        return slice(None)
    order: Ints = (-first).argsort(kind="stable")
    ranked = first.take(order)
    equal = ranked[1:] == ranked[:-1]
    if any_of(equal):
        keys: list[Floats | Ints | Bools] = [problem.weights[:, column] for column in range(problem.num_forms)]
        keys += [array for array in (problem.num_tokens, problem.required) if array is not None]
        keys += [-problem.values[:, column] for column in range(1, problem.num_forms)]
        as_another = np.zeros(len(first), np.bool_)
        as_another[1:] = equal
        as_another[:-1] |= equal
        tied = as_another.nonzero()[0]
        among = order[tied]
        order[tied] = among[np.lexsort((*(key[among] for key in keys), -first[among]))]
    return order


def rows_offered(options: Bools) -> slice:
    """The rows of options, [k, n], from the first to the last with an offered option; all rows where there is none."""
    some = [any_of(row) for row in options]
    if not any(some):
        return slice(0, len(some))
    return slice(some.index(True), len(some) - some[::-1].index(True))


def lightest(gain: Floats, blocks: Ints) -> Ints:
    """The row of each request with the fewest blocks, [n]; of several the most valuable."""
    row: Ints = np.where(blocks == blocks.min(axis=0), gain, -np.inf).argmax(axis=0)
    return row


def above(base: Floats, value: Floats) -> Floats:
    """Values, [k, m], minus the base's, [m]; where two are rounded to the same, the larger value gets 2**-50 more."""
    gain: Floats = value - base
    if len(gain) > 2:  # with two options one is the base
        rows = value.argsort(axis=0, kind="stable")
        for low, high in pairwise(rows):
            lower, higher = (low, np.arange(len(low))), (high, np.arange(len(high)))
            same = (gain[higher] <= gain[lower]) & (value[higher] > value[lower])
            gain[higher] = np.where(same, gain[lower] + APART * np.abs(gain[lower]), gain[higher])
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
    if limit is None or np.add.reduce(use) <= limit:
        return math.inf
    if 1 <= free <= limit:
        more = use > blocks * (limit // int(free))  # of what fits at most the limit, so it cannot overflow
        more &= gain > 0
        if not any_of(more):
            return math.inf
    return math.inf if use.dot(np.maximum.reduce(gain) > 0) <= limit else float(limit)
