"""Runs by falling key up to what fits: increments by slope, kinks by distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.checks import Bools, Floats, Ints
from aptsched.hull import Increments

SAMPLE = 128  # increments looked at to guess where the split lies
SMALL = 2000  # increments that are sorted outright
AT_ONCE = 256  # increments taken in a round
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
    """The longest run by falling key of which the weights stay below the room.

    Parameters
    ----------
    key, weight : float array, [m]
        The weight is 0 where not considered.
    considered : bool array, [m]
    room : float

    Notes
    -----
    Expected O(m): two pivots from a sample enclose the split, and only what lies between them is sorted (the LP in
    linear time, Dyer 1984 and Zemel 1984, by Floyd and Rivest's selection).
    """
    total = float(weight.sum())
    if total < room:
        return Split(considered.copy(), np.empty(0, np.int64), room - total)
    if len(key) > SMALL:
        high, low = _pivots(key, weight, room)
        above: Bools = (key > high) & considered
        spent = float(np.where(above, weight, 0.0).sum())
        if spent < room:
            found = _run(key, weight, above, np.flatnonzero((key >= low) & (considered ^ above)), room - spent)
            if len(found.next_ones):
                return found
    return _run(key, weight, np.zeros_like(considered), np.flatnonzero(considered), room)


def _run(key: Floats, weight: Floats, taken: Bools, near: Ints, room: float) -> Split:
    """Takes of those near, too, what fits in order; `taken` is changed."""
    order = near[descending(key[near])]
    filled = np.cumsum(weight[order])
    fitting = int(np.searchsorted(filled, room, side="left"))
    taken[order[:fitting]] = True
    return Split(taken, order[fitting:], room - (float(filled[fitting - 1]) if fitting else 0.0))


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


def _pivots(key: Floats, weight: Floats, room: float) -> tuple[float, float]:
    """Keys that enclose, very probably, the one at which the weights reach the room."""
    stride = len(key) // SAMPLE
    some = key[::stride]
    order = np.argsort(-some)
    middle = int(np.searchsorted(np.cumsum(weight[::stride][order]) * stride, room))
    margin = SAMPLE // 12
    return float(some[order[max(0, middle - margin)]]), float(some[order[min(len(order) - 1, middle + margin)]])
