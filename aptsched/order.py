"""Runs by falling key up to what fits: increments by slope, kinks by distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.checks import Bools, Floats, Ints
from aptsched.hull import Increments

AT_ONCE = 128  # increments taken in a round
ROW = 64  # weights added up at once
MAGNITUDE = 2**63 - 1
HALF = 0.5  # weights are whole but for those that stand for none


def descending(key: Floats) -> Ints:
    """Positions by falling key; equal keys in order of position."""
    return np.argsort(-key, kind="stable")


def leading(key: Floats, count: int) -> Ints:
    """Positions of the `count` largest keys, falling; equal keys in order of position."""
    if len(key) <= 2 * count:
        return descending(key)[:count]
    least = np.partition(key, -count)[-count]
    above = np.flatnonzero(key > least)
    tied = np.flatnonzero(key == least)[: count - len(above)]
    return np.concatenate([above[descending(key[above])], tied])


@dataclass(frozen=True, eq=False)
class Split:
    """Where a run by falling key comes to what fits.

    Attributes
    ----------
    taken : bool array, [m]
        The longest run that fits.
    next_ones : int array
        Positions of some that come next, in order: the first is the one left out. Empty where all fit.
    room : float
        What is left of it.
    """

    taken: Bools
    next_ones: Ints
    room: float


def split(key: Floats, weight: Floats, considered: Bools, room: float) -> Split:
    """The longest run by falling key of which the weights stay below the room. O(m log m).

    Parameters
    ----------
    key, weight : float array, [m]
        What is not considered has lower keys than all that is.
    considered : bool array, [m]
    room : float

    Notes
    -----
    Keys are sorted by their leading bits, with the position in the last ones, so that one sort of integers gives the
    order; those that agree in the leading bits with the first one left out are then sorted by all bits.
    """
    low = (1 << (len(key) - 1).bit_length()) - 1
    falling = ~rising(key)
    packed = falling & ~low
    packed |= np.arange(len(key))
    packed.sort()
    order = (packed & low)[: np.count_nonzero(considered)]
    fitting, spent = run_within(weight[order], room)
    if fitting < len(order):
        first, last = packed.searchsorted(packed[fitting] & ~low), packed.searchsorted(packed[fitting] | low, "right")
        if last - first > 1:
            alike = order[first:last]
            alike[:] = alike[np.argsort(falling[alike], kind="stable")]
            fitting, spent = run_within(weight[order], room)
    taken = np.zeros(len(key), np.bool_)
    taken[order[:fitting]] = True
    return Split(taken, order[fitting : fitting + AT_ONCE], room - spent)


def rising(key: Floats) -> Ints:
    """Integers in the order of the floats."""
    bits: Ints = key.view(np.int64)
    return bits ^ ((bits >> 63) & MAGNITUDE)


def run_within(weight: Floats, room: float) -> tuple[int, float]:
    """How many of the weights stay, added up in order, below the room, and their sum: first by rows, then in a row."""
    rows = len(weight) // ROW
    ends = weight[: rows * ROW].reshape(rows, ROW).sum(axis=1).cumsum()
    row = int(ends.searchsorted(room))
    before = float(ends[row - 1]) if row else 0.0
    within = weight[row * ROW : (row + 1) * ROW].cumsum() + before
    count = int(within.searchsorted(room))
    return row * ROW + count, float(within[count - 1]) if count else before


def take_more(steps: Increments, split: Split, num_requests: int) -> int:
    """Goes on taking increments that still fit, in the same order; `split.taken` is changed. Returns the room left."""
    room = _take_of(steps, split.taken, split.next_ones, round(split.room - HALF), num_requests)
    if room > 0:
        others = np.flatnonzero(~split.taken & (steps.slope > 0) & (steps.weight <= room))
        room = _take_of(steps, split.taken, others[descending(steps.slope[others])], room, num_requests)
    return room


def _take_of(steps: Increments, taken: Bools, order: Ints, room: int, num_requests: int) -> int:
    """Takes of those in order what fits and comes next in its request, until nothing does. Returns the room left."""
    while room > 0:
        order = order[~taken[order] & (steps.weight[order] <= room)]
        near = order[(order < num_requests) | taken[order - num_requests]]
        if not len(near):
            break
        filled = np.cumsum(steps.weight[near[:AT_ONCE]])
        fitting = int(np.searchsorted(filled, room + HALF, side="right"))
        taken[near[:fitting]] = True
        room = round(room - float(filled[fitting - 1]))
    return room
