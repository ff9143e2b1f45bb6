"""The longest run of increments by falling slope that fits, and what still fits after it."""

from __future__ import annotations

from aptsched.knapsack.hull import Steps
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled


@compiled
def take(steps: Steps, value: Floats, room: int, refill: bool, order: Ints, chosen: Ints) -> tuple[int, int, bool]:
    """Takes increments, as `increments` gives them, by falling slope until one does not fit into the room.

    Of equal slopes first steps come before second ones, then requests of larger value, [n], then those before in
    position. With `refill` it goes on, in the same order, with each increment that is next in its request and still
    fits; then, in rounds, with those that follow on these. Written are positions to `order`, [k * n], and to `chosen`,
    [n], 0 before, the option that each request is taken to.

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
    taken, room, tied = _run(order, 0, end, steps, value, room, chosen)
    left_out = order[taken] if taken < end else -1
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
            taken, room, more_tied = _run(order, first, rest, steps, value, room, chosen)
            tied, end = tied or more_tied, taken
            for at in range(taken, rest):
                if weight[order[at]] <= room:
                    order[end], end = order[at], end + 1
    for i in range(n):
        if chosen[i] > 0:
            chosen[i] = option[i + n * (chosen[i] - 1)]
    return left_out, room, tied


@compiled
def _run(
    order: Ints, low: int, high: int, steps: Steps, value: Floats, room: int, chosen: Ints
) -> tuple[int, int, bool]:
    """Puts the run that fits first in a range of positions, then the first that does not; where, the room, any ties.

    Each step taken is counted in `chosen`. What precedes a pivot is moved to the front, and taken if it fits, else
    looked at more closely: in linear time, as a rule. Source: Balas and Zemel, "An algorithm for large zero-one
    knapsack problems", Operations Research 28(5), 1980.
    """
    (slope, weight, _), first, end, tied = steps, low, high, False
    while low < high:
        middle, last = (low + high) // 2, high - 1
        one, two, three = slope[order[low]], slope[order[middle]], slope[order[last]]
        steep = max(min(one, two), min(max(one, two), three))
        at = low if one == steep else middle if two == steep else last
        pivot, order[at], above, extra = order[at], order[last], low, 0
        for at in range(low, last):
            position = order[at]
            each, order[at], order[above] = slope[position], order[above], position
            above += each > steep
            if each == steep:
                above += _rank(position, pivot, value) > 0
        order[last], order[above] = order[above], pivot
        for at in range(low, above):  # for itself, so that the loop before has no branches
            extra += weight[order[at]]
        if extra > room:
            high = above
        elif extra + weight[pivot] <= room:
            low, room = above + 1, room - extra - weight[pivot]
        else:  # of all like it some are in this range, or next to it
            for at in range(max(low - 1, first), min(high + 1, end)):
                tied = tied or (slope[order[at]] == steep and abs(_rank(order[at], pivot, value)) == 1)
            low, high, room = above, above, room - extra
    for at in range(first, low):
        i = order[at]
        while i >= len(chosen):  # a division would take longer
            i -= len(chosen)
        chosen[i] += 1
    return low, room, tied


@compiled
def _rank(one: int, other: int, value: Floats) -> int:
    """2 where a position comes before another of equal slope, -2 where behind; 1, 0 or -1 where only positions tell."""
    i, j = one % len(value), other % len(value)
    if one - i != other - j:
        return 2 if one < other else -2
    if value[i] != value[j]:
        return 2 if value[i] > value[j] else -2
    return (one < other) - (one > other)
