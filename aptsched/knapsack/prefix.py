"""The longest run of increments by falling slope that fits, and what still fits after it."""

from __future__ import annotations

import math

from aptsched.knapsack.hull import Steps
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled


@compiled
def take(steps: Steps, value: Floats, room: int, refill: bool, order: Ints, chosen: Ints) -> tuple[int, int, bool]:
    """Takes increments by falling slope until one does not fit.

    Of equal slopes first steps come before second ones, then requests of larger value, then those before in position.

    Parameters
    ----------
    steps : tuple of array, [k * n]
        As `increments` gives them.
    value : float array, [n]
    room : int
        What the weights may add up to.
    refill : bool
        Whether to go on, in the same order, with each increment that is next in its request and still fits; then, in
        rounds, with those that follow on these.
    order, chosen : int array, [k * n] and [n]
        Written: positions; and the option that each request is taken to, 0 before.

    Returns
    -------
    left_out, room, tied : int, int, bool
        Position of the first increment that did not fit, -1 where all did; the room that is left; and whether only
        positions put some in order, so that another order of the requests could have another answer.
    """
    slope, weight, option = steps
    n, end = len(value), 0
    for position in range(len(slope)):
        order[end] = position
        end += slope[position] > 0
    taken, room, tied = _run(order, 0, end, steps, value, room)
    left_out = order[taken] if taken < end else -1
    for at in range(taken):
        chosen[_at(order[at], n)] += 1  # so many steps, before it is an option
    while refill and room > 0:
        taken, end = 0, 0
        for i in range(n):
            position = i + n * chosen[i]
            if position < len(slope) and slope[position] > 0 and weight[position] <= room:
                order[end], end = position, end + 1
        if end == 0:
            break
        while taken < end:
            first, rest = taken, end
            taken, room, more_tied = _run(order, first, rest, steps, value, room)
            tied, end = tied or more_tied, taken
            for at in range(first, taken):
                chosen[_at(order[at], n)] += 1
            for at in range(taken, rest):
                if weight[order[at]] <= room:
                    order[end], end = order[at], end + 1
    for i in range(n):
        if chosen[i] > 0:
            chosen[i] = option[i + n * (chosen[i] - 1)]
    return left_out, room, tied


@compiled
def _run(order: Ints, low: int, high: int, steps: Steps, value: Floats, room: int) -> tuple[int, int, bool]:
    """Puts the run that fits first in a range of positions, then the first that does not; where, the room, any ties."""
    slope, weight, _ = steps
    low, end, room = _split(order, low, high, slope, 0, weight, room)
    step = 0
    while low < end:  # of equal slopes, some do not fit
        step, others = step + len(value), low
        for at in range(low, end):
            if order[at] < step:
                order[at], order[others], others = order[others], order[at], others + 1
        low, same, room = _split(order, low, others, value, step - len(value), weight, room)
        if low < same:
            positions = sorted([order[at] for at in range(low, same)])
            for at in range(low, same):
                order[at] = positions[at - low]
            while weight[order[low]] <= room:
                low, room = low + 1, room - weight[order[low]]
            return low, room, len(positions) > 1
    return low, room, False


@compiled
def _split(order: Ints, low: int, high: int, key: Floats, start: int, weight: Ints, room: int) -> tuple[int, int, int]:
    """Takes what fits of a range of positions by falling key; where it ends, the end of equal ones there, and the room.

    Keys are those of the positions from `start` on.
    Of equal ones that do not fit all, none is taken. What is above a pivot is moved to the front, and taken if it fits,
    else looked at more closely: in linear time, as a rule. Source: Balas and Zemel, "An algorithm for large zero-one
    knapsack problems", Operations Research 28(5), 1980.
    """
    while low < high:
        first, middle, last = order[low] - start, order[(low + high) // 2] - start, order[high - 1] - start
        first, middle, last = key[first], key[middle], key[last]
        pivot = max(min(first, middle), min(max(first, middle), last))
        above, extra = _to_front(order, low, high, key, start, pivot, weight)
        if above == low:  # nothing is steeper than the pivot, but some are as steep
            above, extra = _to_front(order, low, high, key, start, math.nextafter(pivot, -math.inf), weight)
            if extra > room:
                return low, above, room
        if extra > room:
            high = above
        else:
            low, room = above, room - extra
    return low, low, room


@compiled
def _to_front(order: Ints, low: int, high: int, key: Floats, start: int, pivot: float, weight: Ints) -> tuple[int, int]:
    """Moves positions above a pivot to the front of a range; where they end, and their weight."""
    above, extra = low, 0
    for at in range(low, high):
        position = order[at]
        order[at], order[above] = order[above], position
        above += key[position - start] > pivot
    for at in range(low, above):  # for itself, so that the loop before has no branches
        extra += weight[order[at]]
    return above, extra


@compiled
def _at(position: int, m: int) -> int:
    """A position in columns of m, one after the other, as one in a column."""
    while position >= m:
        position -= m
    return position
