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
Amounts = tuple[float, float, float]  # of blocks (in units), tokens and sequences, or for each of these
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
    blocks, tokens, seqs : int array, [k, n], [n] and [n]
        What an option takes beyond the base, blocks in units of `unit`; any option takes the same tokens and sequences.
    limits : tuple of float
        What is free beside the bases; inf where unlimited or never short.
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
    limits: Amounts
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
    """The smallest overload of the required requests, each in its lightest form, or None where they fit."""
    must, tokens, max_tokens = problem.required, problem.num_tokens, problem.max_tokens
    if must is None:
        return None
    more_blocks = int(problem.weights[must].min(axis=1).sum()) - problem.capacity
    more_tokens = 0 if max_tokens is None or tokens is None else int(tokens[must].sum()) - max_tokens
    more_seqs = 0 if problem.max_seqs is None else int(must.sum()) - problem.max_seqs
    excess = [max(more, 0) for more in (more_blocks, more_tokens, more_seqs)]
    return InfeasibleError(*excess) if any(excess) else None


def reduce(problem: BatchProblem, beside: bool = True, ordered: bool = False) -> Residual:
    """The residual of a problem; raises InfeasibleError where the required requests do not fit. O(n (k + log n)).

    With `beside=False` it also has options that fit alone but not beside the bases, as the bound of multipliers has.
    With `ordered=True`, and where tokens or sequences may be short, the order depends on the requests' data alone.
    """
    short = overload(problem)
    if short is not None:
        raise short
    order, n = canonical_order(problem) if ordered else None, problem.num_requests
    rows = slice(None) if order is None else order
    gain, blocks, base = problem.values.T[:, rows], problem.weights.T[:, rows], None
    value, seqs = row_by_row(gain[0]), repeated(1, n)
    tokens = repeated(0, n) if problem.num_tokens is None else problem.num_tokens[rows]
    side = [math.inf if limit is None else limit for limit in (problem.max_tokens, problem.max_seqs)]
    free = alone = [problem.capacity, *side]
    if problem.required is not None:
        must, fits, of_request = problem.required[rows], problem.fits_alone()[rows].T, np.arange(n)
        row = np.where(blocks == blocks.min(axis=0), gain, -np.inf).argmax(axis=0)  # the lightest, of these the best
        held = blocks[row, of_request] * must
        free = [limit - int(use[must].sum()) for limit, use in zip(alone, (held, tokens, seqs), strict=True)]
        gain = np.where(must, above(gain[row, of_request], gain) * fits, gain)
        base, blocks, tokens, seqs = np.where(must, row + 1, 0), blocks - held, tokens * ~must, seqs * ~must
    for use, most in zip((blocks, tokens, seqs), free if beside else [*alone[:2], math.inf], strict=True):
        if most < math.inf and use.item(use.argmax()) > most:
            gain, blocks = gain * (use <= most), blocks * (use <= most)
    unit, unit_s = common_unit(blocks), unit_of(gain)
    gain = gain if unit_s == 1.0 else np.maximum(gain, 0.0) / unit_s
    blocks = blocks if unit == 1 else blocks // unit
    room = free[0] // unit
    room = math.inf if room >= int(np.add.reduce(blocks, axis=None)) else float(room)
    sides = zip(free[1:], (tokens, seqs), strict=True)
    max_tokens, max_seqs = (never_short(limit, use, gain, blocks, room) for limit, use in sides)
    if not ordered and min(max_tokens, max_seqs) < math.inf:
        return reduce(problem, beside, ordered=True)
    gain, blocks, tokens, seqs = row_by_row(gain), row_by_row(blocks), row_by_row(tokens), row_by_row(seqs)
    return Residual(order, base, value, gain, blocks, tokens, seqs, (room, max_tokens, max_seqs), unit, unit_s)


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
    largest = gain.item(0) if gain.item(0) > TINY else gain.item(gain.argmax())
    return math.ldexp(1.0, math.frexp(largest)[1]) if 0 < largest <= TINY else 1.0


def common_unit(blocks: Ints) -> int:
    """The greatest common divisor of all entries, at least 1; mostly known from a few of them."""
    few = math.gcd(*blocks[0, :FEW].tolist())
    return few if few == 1 else max(1, int(np.gcd.reduce(blocks, axis=None)))


def never_short(limit: float, use: Ints, gain: Floats, blocks: Ints, free: float) -> float:
    """The limit, or inf if all requests together cannot exceed it, or no selection that fits into the blocks can.

    As where no offered option uses more of it per block than the limit has per free block.
    """
    if limit == math.inf or use.sum() <= limit:
        return math.inf
    if 1 <= free <= limit:
        more = use > blocks * (limit // int(free))  # of what fits at most the limit, so it cannot overflow
        if not (more & (gain > 0)).any():
            return math.inf
    return math.inf if use.dot(gain.max(axis=0) > 0) <= limit else float(limit)
