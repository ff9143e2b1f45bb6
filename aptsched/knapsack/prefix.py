"""Runs by falling key up to what fits: increments by slope, kinks by distance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aptsched.knapsack.hull import Increments
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.dot import dot

AT_ONCE = 128  # increments taken in a round
MANY = 512  # from so many keys on, sorting only a part is faster
STRIDE = 16  # of the sample
HALF = 0.5  # weights are whole, except the tiny ones that stand for 0


def descending(key: Floats) -> Ints:
    """Positions by falling key; equal keys in order of position."""
    return (-key).argsort(kind="stable")


def largest(key: Floats, count: int) -> Ints:
    """Positions of the `count` largest keys, falling; equal keys in order of position."""
    if len(key) <= 2 * count:
        return descending(key)[:count]
    least = np.partition(key, -count)[-count]
    above = np.flatnonzero(key > least)
    tied = np.flatnonzero(key == least)[: count - len(above)]
    return np.concatenate([above[descending(key[above])], tied])


class Split(NamedTuple):
    """The longest run by falling key that fits, and what comes next.

    Attributes
    ----------
    taken : bool array, [m]
        What the run takes.
    next_ones : int array
        Positions of some of the next keys, in order: the first is the one that did not fit. Empty where all fit.
    room : float
        The room that the run leaves.
    """

    taken: Bools
    next_ones: Ints
    room: float


def split(key: Floats, weight: Floats, floor: float, room: float) -> Split:
    """The longest run by falling key (equal keys by position) whose weights add up to less than the room.

    Only the keys near its end are sorted: a sample says which these are; if it misleads, all keys are sorted.

    Parameters
    ----------
    key, weight : float array, [m]
        Weights are added up in any order, so they should be whole numbers, unless the last bits do not matter.
    floor : float
        Only keys above it are considered.
    room : float
    """
    if len(key) <= MANY:
        return _split_between(key, weight, floor, math.inf, room)
    low, high = _likely(key, weight, floor, room)
    found = _split_between(key, weight, low, high, room)
    if found.room <= 0:
        return _split_between(key, weight, high, math.inf, room)
    return found if len(found.next_ones) else _split_between(key, weight, floor, low, room)


def _likely(key: Floats, weight: Floats, floor: float, room: float) -> tuple[float, float]:
    """Two keys between which the run ends most likely, from every 16th."""
    some = key[::STRIDE]
    order = descending(some)
    end = int(weight[::STRIDE].take(order).cumsum().searchsorted(room / STRIDE))
    margin = math.isqrt(len(order))
    high = float(some[order[end - margin]]) if end >= margin else math.inf
    low = math.nextafter(some[order[end + margin]], -math.inf) if end + margin < len(order) else floor
    return max(low, floor), high


def _split_between(key: Floats, weight: Floats, low: float, high: float, room: float) -> Split:
    """The split, if the first one left out is above `low` and not above `high`."""
    taken = key > high
    near = ((key > low) ^ taken).nonzero()[0]
    room -= dot(weight, taken)
    order = near.take(descending(key.take(near)))
    ends = weight.take(order).cumsum()
    fitting = int(ends.searchsorted(room))
    taken[order[:fitting]] = True
    return Split(taken, order[fitting : fitting + AT_ONCE], room - float(ends[fitting - 1]) if fitting else room)


def take_more(steps: Increments, split: Split, num_requests: int) -> int:
    """Goes on taking increments that still fit, in the same order; `split.taken` is changed. Returns the room left."""
    room = round(split.room - HALF)
    room = _take_of(steps.weight, split.taken, split.next_ones, num_requests, room)
    while room > 0:
        others = (~split.taken & (steps.slope > 0) & (steps.weight <= room)).nonzero()[0]
        before, order = room, others[descending(steps.slope[others])]
        room = _take_of(steps.weight, split.taken, order, num_requests, room)
        if room == before:
            break
    return room


def _take_of(weight: Floats, taken: Bools, order: Ints, num_requests: int, room: int) -> int:
    """Takes, in this order, each increment that is next in its request and fits. Returns the room left."""
    if len(taken) > num_requests:
        order = order[(order < num_requests) | taken.take(order - num_requests)]
    each = weight.take(order)
    while room > 0:
        fits = each <= room
        order, each = order[fits], each[fits]
        if not len(order):
            break
        ends = each[:AT_ONCE].cumsum()
        fitting = int(ends.searchsorted(room + HALF))
        taken[order[:fitting]] = True
        room = round(room - float(ends[fitting - 1]))
        order, each = order[fitting:], each[fitting:]
    return room
