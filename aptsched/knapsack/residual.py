"""The problem that is left to decide once every required request has its lightest form."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from aptsched.problem.batch_problem import BatchProblem, Options
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import row_by_row
from aptsched.support.errors import InfeasibleError

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
    if problem.required is None:
        return None
    _, weights, tokens, seqs = problem.options
    amounts = zip((weights.min(axis=0), tokens, seqs), problem.limits, strict=True)
    excess = [max(int(use[problem.required].sum()) - most, 0) for use, most in amounts]
    return InfeasibleError(*excess) if any(excess) else None


def reduce(problem: BatchProblem, beside: bool = True, ordered: bool = False) -> Residual:
    """The residual of a problem; raises InfeasibleError where the required requests do not fit. O(n (k + log n)).

    With `beside=False` it also has options that fit alone but not beside the bases, as the bound of multipliers has.
    With `ordered=True`, and where tokens or sequences may be short, the order depends on the requests' data alone.
    """
    short = overload(problem)
    if short is not None:
        raise short
    order, base = canonical_order(problem) if ordered else None, None
    gain, blocks, tokens, seqs = problem.options
    if order is not None:
        gain, blocks, tokens = gain[:, order], blocks[:, order], tokens[order]
    value = row_by_row(gain[0])
    free = alone = problem.limits
    if problem.required is not None:
        must, fits, of_request = problem.required, problem.fits_alone().T, np.arange(problem.num_requests)
        if order is not None:
            must, fits = must[order], fits[:, order]
        row = np.where(blocks == blocks.min(axis=0), gain, -np.inf).argmax(axis=0)  # the lightest, of these the best
        held = blocks[row, of_request] * must
        free = tuple(limit - int(use[must].sum()) for limit, use in zip(alone, (held, tokens, seqs), strict=True))
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
    max_tokens = never_short(free[1], tokens, gain, blocks, room)
    max_seqs = never_short(free[2], seqs, gain, blocks, room)
    if not ordered and min(max_tokens, max_seqs) < math.inf:
        return reduce(problem, beside, ordered=True)
    gain, blocks, tokens, seqs = row_by_row(gain), row_by_row(blocks), row_by_row(tokens), row_by_row(seqs)
    return Residual(order, base, value, gain, blocks, tokens, seqs, (room, max_tokens, max_seqs), unit, unit_s)


def canonical_order(problem: BatchProblem) -> Ints:
    """Rows by falling values of the first form, ties by all other data."""
    order: Ints = (-problem.values[:, 0]).argsort(kind="stable")
    if np.diff(problem.values[order, 0]).all():
        return order
    given = [array for array in (problem.num_tokens, problem.required) if array is not None]
    return np.lexsort((*problem.weights.T, *given, *-problem.values.T[1:], -problem.values[:, 0]))


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
