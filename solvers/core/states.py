"""Dynamic programming over what is left to decide: states of all resources, pruned by the bound."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled, filled
from solvers.core.alternatives import Resources, Table

Take = tuple[int, int, int]  # more than the best options do, of each resource
State = tuple[Take, float, float, int, int]  # what it takes, gains and loses; from which state, by which alternative
Limits = tuple[
    Take, tuple[float, float, float], list[int], list[int]
]  # slack, price; least and most still to decide on
PAUSE = 2000  # pairs after which the caller may look at the clock


@compiled
def search(
    m: int, table: Table, resources: Resources, best: float, gap: float, beam: int, max_work: int, option: Ints
) -> Iterator[tuple[bool, int]]:
    """The choice of largest gain: at most one alternative for each request, taking at most the slack together.

    Requests are decided one by one, the one with the least loss first. A state is what the requests so far take and
    gain more than with their best options. It is dropped where even the bound on what can become of it is not above the
    incumbent, where it cannot come within the limits any more, or where another takes no more for no less gain
    (Pisinger 1995, a minimal algorithm for the multiple-choice knapsack problem). Requests whose alternatives take of
    the last resource alone come first, and their states are kept: each state of the others is completed by the best of
    these that fits, so that whoever goes on from it has another alternative's loss ahead.

    Parameters
    ----------
    m, table, resources
        As `near` has written them.
    best, gap : float
        Gain of the incumbent above the best options; by how much the bound is above it, and what sums of losses miss.
    beam, max_work : int
        Most states kept, and most pairs of a state and an alternative looked at; beyond, the answer is not proved.
    option : int array, [n]
        The incumbent; written: what is better.

    Yields
    ------
    proved, work : bool, int
        Whether nothing is better; how many pairs were looked at. At the end, and before now and then, so that the
        caller may leave it at that.
    """
    (whole, (loss, gain), _), (price, which, slack), proved, work, pause = table, resources, True, 0, PAUSE
    begin = [p for p in range(m) if p == 0 or whole[0][p] > whole[0][p - 1]] + [m]
    take = [(whole[2][p], whole[3][p], whole[4][p]) for p in range(m)]
    rates = (price[which[0]], price[which[1]], price[which[2]])
    limits = (slack[0], slack[1], slack[2]), rates, filled(0, 3), filled(0, 3)
    stages, num_single, least, spent = _stages(begin, take, table, gap, limits)
    made, states, single, where, rest = [((0, 0, 0), 0 * gap, 0 * gap, -1, -1)], [0], [0], -1, 0
    if best < 0 and _completion((0, 0, 0), made, single, limits) >= 0:
        where, gap, best = 0, gap + best, 0 * gap
    for stage in range(len(stages) - 1):
        if stage == num_single:
            single, states = states, [0]
            if len(single) == 0:
                break
            limits[2][2] += made[single[0]][0][2]
            limits[3][2] += made[single[-1]][0][2]
        old, q, following = states, stages[stage], stages[stage + 1]
        _count(-1, begin[q], begin[q + 1], whole, limits)
        for position in range(begin[q], begin[q + 1]):
            if max(spent[q], loss[position]) > gap or work > max_work:
                continue
            first, work = len(made), work + len(old)
            for state in old if work <= max_work else old[:0]:
                (a, b, c), gained, lost, _, _ = made[state]
                if lost + loss[position] <= gap:
                    more, gained = take[position], gained + gain[position]
                    taken = (a + more[0], b + more[1], c + more[2])
                    made.append((taken, gained, lost + loss[position], state, position))
                    if gained + made[single[-1]][1] > best:
                        found = _completion(taken, made, single, limits)
                        if found >= 0 and gained + made[found][1] > best:
                            where, rest, better = len(made) - 1, found, gained + made[found][1]
                            gap, best = gap - (better - best), better
            ahead = gap - min(least[following], least[stages[max(stage + 1, num_single)]])
            states = _merged(states, first, made, limits, ahead)
            if work >= pause:
                pause = work + PAUSE
                _write(where, rest, made, table, option)
                yield False, work
        if len(states) > beam:
            least_first = np.argsort(np.array([made[state][2] for state in states]), kind="mergesort")
            states, proved = [states[at] for at in np.sort(least_first[:beam])], False
    _write(where, rest, made, table, option)
    yield proved and work <= max_work, work


@compiled
def _stages(
    begin: list[int], take: list[Take], table: Table, most: float, limits: Limits
) -> tuple[list[int], int, Floats, Floats]:
    """The requests that a better selection may have at an alternative, by least loss; first those of the last resource.

    What they can take is added to the limits. Behind them is nobody, whose loss is too much. How many the first are; of
    each request the least loss, and what a selection loses at least that has it at an alternative.
    """
    (whole, (loss, _), _), nobody = table, len(begin) - 1
    least, is_single, stages, num_single = filled(2 * most, len(begin)), filled(1, len(begin)), begin[:0], 0
    for q in range(nobody):
        for p in range(begin[q], begin[q + 1]):
            least[q] = min(least[q], loss[p])
            is_single[q] *= whole[2][p] == 0 and whole[3][p] == 0
    order = np.argsort(least, kind="mergesort")[:nobody]  # nobody is last
    spent = _spent(order, begin, take, least)
    for kind in (1, 0):
        for q in order:
            if is_single[q] == kind and spent[q] <= most:
                stages.append(q)
                _count(1, begin[q], begin[q + 1], whole, limits)
                num_single += kind
    stages.append(nobody)
    return stages, num_single, least, spent


@compiled
def _spent(order: Ints, begin: list[int], take: list[Take], least: Floats) -> Floats:
    """What a selection loses at least that has an alternative of a request.

    Where requests with one alternative take the same, a cheaper one that is not used could be exchanged for a dearer
    one that is: so each loses as much as it and all the cheaper ones together.
    """
    spent: Floats = filled(0 * least[0], len(least))
    last = filled(-1, 2 * len(least))  # of those that take the same, by a hash of what they take
    for q in order:
        spent[q] = least[q]
        if begin[q + 1] == begin[q] + 1:
            a, b, c = take[begin[q]]
            at = (31 * (31 * a + b) + c) % len(last)
            while last[at] >= 0 and take[begin[last[at]]] != take[begin[q]]:
                at = (at + 1) % len(last)
            spent[q] += spent[last[at]] if last[at] >= 0 else 0
            last[at] = q
    return spent


@compiled
def _count(sign: int, begin: int, end: int, whole: Ints, limits: Limits) -> None:
    """Adds the least and the most that a request can take of each resource, or takes them away."""
    for r in range(3):
        take, least, most = whole[2 + r], 0, 0
        for p in range(begin, end):
            least, most = min(least, take[p]), max(most, take[p])
        limits[2][r], limits[3][r] = limits[2][r] + sign * least, limits[3][r] + sign * most


@compiled
def _completion(taken: Take, made: list[State], single: list[int], limits: Limits) -> int:
    """The last of those by what they take of the last resource that fits beside a state; -1 where none does."""
    (a, b, c), low, high = limits[0], 0, len(single)
    if taken[0] > a or taken[1] > b:
        return -1
    while low < high:
        middle = (low + high) // 2
        fits = made[single[middle]][0][2] <= c - taken[2]
        low, high = (middle + 1, high) if fits else (low, middle)
    return single[low - 1] if low > 0 else -1


@compiled
def _merged(some: list[int], first: int, made: list[State], limits: Limits, ahead: float) -> list[int]:
    """States and the new ones from `first` on, both by what they take, that may lead to a better selection.

    Dropped is who cannot come within the limits any more, or to a gain above the incumbent's, as what stays free costs;
    and who takes no less for no more gain than one that takes the same of all resources but the last.
    """
    (slack, price, low, high), merged, one, other = limits, some[:0], 0, first
    before, best = (0, 0), -math.inf  # what the last one kept takes of other resources than the last, and gains
    while one < len(some) or other < len(made):
        state = some[one] if one < len(some) else other
        if one < len(some) and other < len(made):
            x, y = made[state], made[other]
            state = state if x[0] < y[0] or (x[0] == y[0] and x[1] >= y[1]) else other
        one, other = (one, other + 1) if state == other else (one + 1, other)
        (a, b, c), gained, loss, _, _ = made[state]
        free = (slack[0] - a, slack[1] - b, slack[2] - c)
        loss = loss + price[0] * max(free[0] - high[0], 0) + price[1] * max(free[1] - high[1], 0)
        loss += price[2] * max(free[2] - high[2], 0)
        within = free[0] >= low[0] and free[1] >= low[1] and free[2] >= low[2]
        if within and loss <= ahead and (gained > best or before != (a, b)):
            merged.append(state)
            before, best = (a, b), gained
    return merged


@compiled
def _write(where: int, rest: int, made: list[State], table: Table, option: Ints) -> None:
    """Writes the best options with the alternatives of a state and of the one that completes it, if there is one."""
    whole, _, star = table
    for i in range(len(star) if where >= 0 else 0):
        option[i] = star[i]
    for state in (where, rest):
        while state > 0:
            _, _, _, state, by = made[state]
            option[whole[0][by]] = whole[1][by]
