"""Dynamic programming over what is left to decide: states of all resources, pruned by the bound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled
from solvers.core.alternatives import Resources, Table

States = tuple[list[float], list[float], list[int]]  # what they lose, gain and take
Limits = tuple[
    Ints, list[float], list[int], list[int]
]  # slack and price; least and most that is still to be decided on
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
    (whole, (loss, gain), _), (price, which, slack), size = table, resources, len(resources[2])
    begin = [p for p in range(m) if p == 0 or whole[0][p] > whole[0][p - 1]] + [m]
    take = [whole[2 + r][p] for p in range(m) for r in range(size)]
    limits = slack, [price[r] for r in which], [0] * size, [0] * size
    stages, num_single, least, spent = _stages(begin, take, loss, gap, limits)
    lost, gained, taken, parent, by, states, single = [0 * gap], [0 * gap], [0] * size, [-1], [-1], [0], [0]
    proved, work, pause, where, rest = True, 0, PAUSE, -1, 0
    if best < 0 and _completion(0, taken, slack, single) >= 0:
        where, gap, best = 0, gap + best, 0 * gap
    for stage in range(len(stages) - 1):
        if stage == num_single:
            single, states = states, [0]
            if len(single) == 0:
                break
            limits[2][size - 1] += taken[single[0] * size + size - 1]
            limits[3][size - 1] += taken[single[-1] * size + size - 1]
        old, q, following = states, stages[stage], stages[stage + 1]
        _count(-1, begin[q], begin[q + 1], take, limits)
        for position in range(begin[q], begin[q + 1]):
            if max(spent[q], loss[position]) > gap or work > max_work:
                continue
            first, work = len(lost), work + len(old)
            for state in old if work <= max_work else old[:0]:
                if lost[state] + loss[position] <= gap:
                    parent.append(state)
                    by.append(position)
                    lost.append(lost[state] + loss[position])
                    gained.append(gained[state] + gain[position])
                    for r in range(size):
                        taken.append(taken[state * size + r] + take[position * size + r])
                    if gained[-1] + gained[single[-1]] > best:
                        found = _completion(len(lost) - 1, taken, slack, single)
                        if found >= 0 and gained[-1] + gained[found] > best:
                            where, rest, better = len(lost) - 1, found, gained[-1] + gained[found]
                            gap, best = gap - (better - best), better
            ahead = gap - min(least[following], least[stages[max(stage + 1, num_single)]])
            states = _merged(states, first, (lost, gained, taken), limits, ahead)
            if work >= pause:
                pause = work + PAUSE
                _write(where, rest, parent, by, table, option)
                yield False, work
        if len(states) > beam:
            least_first = np.argsort(np.array([lost[state] for state in states]), kind="mergesort")
            states, proved = [states[at] for at in np.sort(least_first[:beam])], False
    _write(where, rest, parent, by, table, option)
    yield proved and work <= max_work, work


@compiled
def _stages(
    begin: list[int], take: list[int], loss: Floats, most: float, limits: Limits
) -> tuple[list[int], int, list[float], list[float]]:
    """The requests that a better selection may have at an alternative, by least loss; first those of the last resource.

    What they can take is added to the limits. Behind them is nobody, whose loss is too much. How many the first are; of
    each request the least loss, and what a selection loses at least that has it at an alternative.
    """
    least, others, size = [2 * most for _ in begin], [0 for _ in begin], len(limits[0])
    for q in range(len(begin) - 1):
        for p in range(begin[q], begin[q + 1]):
            least[q] = min(least[q], loss[p])
            for r in range(size - 1):
                others[q] |= take[p * size + r]  # not 0 where they take of other resources than the last
    order = np.argsort(np.array(least), kind="mergesort")[:-1]  # nobody is last
    spent = _spent(order, begin, take, least, size)
    single = [q for q in order if others[q] == 0 and spent[q] <= most]
    stages = single + [q for q in order if others[q] != 0 and spent[q] <= most]
    for q in stages:
        _count(1, begin[q], begin[q + 1], take, limits)
    return [*stages, len(begin) - 1], len(single), least, spent


@compiled
def _spent(order: Ints, begin: list[int], take: list[int], least: list[float], size: int) -> list[float]:
    """What a selection loses at least that has an alternative of a request.

    Where requests with one alternative take the same, a cheaper one that is not used could be exchanged for a dearer
    one that is: so each loses as much as it and all the cheaper ones together.
    """
    spent, last = least[:], [-1] * (2 * len(least))  # of those that take the same, by a hash of what they take
    for q in order:
        if begin[q + 1] == begin[q] + 1:
            at = 0
            for r in range(size):
                at = (31 * at + take[begin[q] * size + r]) % len(last)
            while last[at] >= 0 and _first_difference(begin[last[at]], begin[q], take, size) < size:
                at = (at + 1) % len(last)
            spent[q] += spent[last[at]] if last[at] >= 0 else 0
            last[at] = q
    return spent


@compiled
def _count(sign: int, begin: int, end: int, take: list[int], limits: Limits) -> None:
    """Adds the least and the most that a request can take of each resource, [D], or takes them away."""
    slack, _, low, high = limits
    for r in range(len(slack)):
        least, most = 0, 0
        for p in range(begin, end):
            least, most = min(least, take[p * len(slack) + r]), max(most, take[p * len(slack) + r])
        low[r], high[r] = low[r] + sign * least, high[r] + sign * most


@compiled
def _completion(state: int, taken: list[int], slack: Ints, single: list[int]) -> int:
    """The last of those by what they take of the last resource that fits beside a state; -1 where none does."""
    size, low, high = len(slack), 0, len(single)
    for r in range(size - 1):
        if taken[state * size + r] > slack[r]:
            return -1
    free = slack[size - 1] - taken[state * size + size - 1]
    while low < high:
        middle = (low + high) // 2
        fits = taken[single[middle] * size + size - 1] <= free
        low, high = (middle + 1, high) if fits else (low, middle)
    return single[low - 1] if low > 0 else -1


@compiled
def _merged(some: list[int], first: int, columns: States, limits: Limits, ahead: float) -> list[int]:
    """States and the new ones from `first` on, both by what they take, that may lead to a better selection.

    Dropped is who cannot come within the limits any more, or to a gain above the incumbent's, as what stays free costs;
    and who takes no less for no more gain than one that takes the same of all resources but the last.
    """
    (lost, gained, taken), (slack, price, low, high), merged, a, b = columns, limits, some[:0], 0, first
    size = len(slack)
    while a < len(some) or b < len(lost):
        from_some = b == len(lost)
        if a < len(some) and b < len(lost):
            r = _first_difference(some[a], b, taken, size)
            one, other = some[a] * size + r, b * size + r
            from_some = gained[some[a]] >= gained[b] if r == size else taken[one] < taken[other]
        state = some[a] if from_some else b
        a, b = (a + 1, b) if from_some else (a, b + 1)
        loss, within = lost[state], True
        for r in range(size):
            free = slack[r] - taken[state * size + r]
            within = within and free >= low[r]
            loss += price[r] * max(free - high[r], 0)
        dominated = len(merged) > 0 and gained[merged[-1]] >= gained[state]
        dominated = dominated and _first_difference(merged[-1], state, taken, size) >= size - 1
        if within and loss <= ahead and not dominated:
            merged.append(state)
    return merged


@compiled
def _first_difference(one: int, other: int, taken: list[int], size: int) -> int:
    """The first resource of which two states take different amounts; their number where there is none."""
    r = 0
    while r < size and taken[one * size + r] == taken[other * size + r]:
        r += 1
    return r


@compiled
def _write(where: int, rest: int, parent: list[int], by: list[int], table: Table, option: Ints) -> None:
    """Writes the best options with the alternatives of a state and of the one that completes it, if there is one."""
    whole, _, star = table
    for i in range(len(star) if where >= 0 else 0):
        option[i] = star[i]
    for state in (where, rest):
        while state > 0:
            option[whole[0][by[state]]], state = whole[1][by[state]], parent[state]
