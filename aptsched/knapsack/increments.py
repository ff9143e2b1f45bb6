"""The LP-efficient increments of each request, and the longest run of them by falling slope that fits."""

from __future__ import annotations

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled, filled

WEIGHTLESS = 2.0**-60  # stands for no blocks in a slope, which puts the increment first
LEAST = 2.0**-1074  # stands for a slope that a float rounds to 0
Steps = tuple[Floats, Ints, Ints]  # slope, weight and option, step by step, [k * n], in each request by request


@compiled
def take(
    gain: Floats, weight: Ints, value: Floats, room: int, refill: bool, chosen: Ints
) -> tuple[int, int, float, int, bool]:
    """Takes increments of options, [k, n], by falling slope until one does not fit into the room.

    Of equal slopes first steps come before second ones, then requests of larger value, [n], then those before in
    position. With `refill` it goes on, in the same order, with each increment that is next in its request and still
    fits; then, in rounds, with those that follow on these. Written to `chosen`, [n], 0 before, is the option that each
    request is taken to.

    Returns
    -------
    request, option, slope, room, tied : int, int, float, int, bool
        Of the first increment that did not fit whose it is, where it leads to, and its slope, 0 where all did; the room
        that is left; and whether only positions put some in order, so that another order of the requests could have
        another answer.
    """
    steps = increments(gain, weight)
    (slope, added, option), n, end, order = steps, len(value), 0, filled(0, len(steps[0]))
    for position in range(len(option)):
        order[end] = position
        end += slope[position] > 0
    taken, room, tied = _run(order, 0, end, steps, value, room, chosen)
    left_out, steep = (order[taken], slope[order[taken]]) if taken < end else (0, 0.0)
    rounds = len(gain) if refill else 0  # in each, those that follow on what the one before took
    while rounds > 0 and room > 0:
        taken, end, rounds = 0, 0, rounds - 1
        for i in range(n):
            position = i + n * chosen[i]
            order[end] = position
            end += (slope[position] > 0) * (added[position] <= room)
        while taken < end:
            taken, room, more_tied = _run(order, taken, end, steps, value, room, chosen)
            tied, rest, end = tied or more_tied, end, taken
            for at in range(taken, rest):
                position = order[at]
                order[end] = position
                end += added[position] <= room
    for i in range(n):  # without branches, which nobody could predict
        served = min(chosen[i], 1)
        chosen[i] = option[i + n * (chosen[i] - served)] * served
    return left_out % n, option[left_out], steep, room, tied


@compiled
def increments(gain: Floats, weight: Ints) -> Steps:
    """Upper hulls of options, [k, n], from the origin to the most valuable; gains of 0 or less are not on offer.

    By gift wrapping, O(k^2 n): from the option reached, the one of steepest slope is next; where two slopes are
    rounded to the same, it is not an option that another one dominates, which could not follow on it. Of each step are
    returned the slope, in seconds per unit of weight, not above that of the request's step before, 0 where there is
    none, as after the last, in [(k + 1) * n]; the weight that it adds; and the option (row + 1) that it leads to.

    Source: LP-dominance, Sinha and Zoltners (1979). The weights are the rounded ones, so that no request's second step
    sorts before its first, as Apt-Serve's halves can.
    """
    most, n = len(gain) * len(gain[0]), len(gain[0])
    slope, added, option = filled(0.0, most + n), filled(0, most + n), filled(0, most)
    reached, held = filled(0.0, n), filled(0, n)
    for first in range(0, most, n):
        for row in range(len(gain)):
            gains, weights = gain[row], weight[row]
            for i in range(n):
                more, extra = gains[i] - reached[i], weights[i] - held[i]
                if more > 0 and (extra > 0 or first == 0):
                    at, steep = first + i, more / (extra if extra > 0 else WEIGHTLESS) or LEAST
                    if steep == slope[at] and extra <= added[at]:
                        is_better = (gains[i], added[at]) > (gain[option[at] - 1][i], extra)
                    else:
                        is_better = steep > slope[at]
                    if is_better:
                        slope[at], added[at], option[at] = steep, extra, row + 1
        for at in range(first, first + n if first > 0 else 0):
            slope[at] = min(slope[at], slope[at - n])
        for i in range(n if first + n < most else 0):
            if slope[first + i] > 0:
                row = option[first + i] - 1
                reached[i], held[i] = gain[row][i], weight[row][i]
    return slope, added, option


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
