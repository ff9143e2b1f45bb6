"""Dynamic programming over what is left to decide: states of all resources, pruned by the bound."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled

States = tuple[list[float], list[float], list[int]]  # what each has lost and gained, and, D numbers of each, taken
PAUSE = 2000  # pairs after which the caller may look at the clock


@compiled
def search(
    m: int,
    whole: Ints,
    real: Floats,
    slack: Ints,
    price: Floats,
    best: float,
    gap: float,
    missed: float,
    beam: int,
    max_work: int,
    chosen: Ints,
) -> Iterator[tuple[int, bool, int]]:
    """The choice of largest gain: at most one alternative for each request, taking at most the slack together.

    Parameters
    ----------
    m, whole, real
        The alternatives, as `near` has written them.
    slack, price : array, [D]
        What is free of each resource, maybe less than 0; its multiplier.
    best, gap, missed : float
        Gain of the incumbent above the best options, by how much the bound is above it, what sums of losses may miss.
    beam, max_work : int
        Most states kept, and most pairs of a state and an alternative looked at; beyond, the answer is not proved.
    chosen : int array, [m]
        Written: positions of the alternatives chosen.

    Yields
    ------
    count, proved, work : int, bool, int
        How many are chosen, -1 where nothing better than the incumbent was found; how many pairs were looked at. Now
        and then, so that the caller may leave it at that, and at the end.

    Notes
    -----
    Requests are decided one by one, the one with the least loss first. A state is what the requests so far take and
    gain more than with their best options. It is dropped where even the bound on what can become of it is not above the
    incumbent, where it cannot come within the limits any more, or where another takes no more for no less gain. Source:
    Pisinger (1995), a minimal algorithm for the multiple-choice knapsack problem. Requests whose alternatives take of
    the last resource alone come first, and their states are kept: each state of the others is completed by the best of
    these that fits, so that whoever goes on from it has another alternative's loss ahead.
    """
    request, take, loss, gain = whole[0][:m], whole[2:], real[0][:m], real[1][:m]
    size, proved, work, pause, where, rest = len(slack), True, 0, PAUSE, -1, 0
    spent = _spent(request, loss, take)
    stages, least, num_single = _stages(request, take, loss, spent, gap + missed)
    low, high = _later(stages, request, spent, take, gap + missed)
    lost, gained, parent, by, taken = [0 * gap], [0 * gap], [-1], [-1], [0 for _ in range(size)]
    states, single = [0], [0]
    if best < 0 and _completion(0, taken, slack, single) >= 0:
        where, gap, best = 0, gap + best, 0 * gap
    for number in range(len(stages)):
        ahead = gap - min(least[number], least[max(number, num_single)])
        if number == num_single:
            single = _alive(states, number, (lost, gained, taken), slack, price, low, high, ahead)
            states = _restart(single, number, taken, low, high, size)
        if least[number] > gap or len(states) == 0 or work > max_work:
            continue
        old = _alive(states, number, (lost, gained, taken), slack, price, low, high, ahead)
        states, position = old, stages[number]
        while position < len(request) and request[position] == request[stages[number]] and work <= max_work:
            if spent[position] <= gap + missed:
                work += len(old)
                some = (lost, gained, taken)
                new = _extended(old, position, take, loss, gain, gap, some, parent, by) if work <= max_work else old[:0]
                for state in new:
                    if gained[state] + gained[single[-1]] > best:
                        found = _completion(state, taken, slack, single)
                        if found >= 0 and gained[state] + gained[found] > best:
                            where, rest, better = state, found, gained[state] + gained[found]
                            gap, best = gap - (better - best), better
                states = _merged(states, new, (lost, gained, taken), size)
                if work >= pause:
                    pause = work + PAUSE
                    yield _traced(where, rest, parent, by, chosen), False, work
            position += 1
        if len(states) > beam:
            states, proved = _least(states, lost, beam), False
    yield _traced(where, rest, parent, by, chosen), proved and work <= max_work, work


@compiled
def _extended(
    old: list[int],
    position: int,
    take: Ints,
    loss: Floats,
    gain: Floats,
    most: float,
    states: States,
    parent: list[int],
    by: list[int],
) -> list[int]:
    """States made of others by an alternative, where they lose at most so much."""
    (lost, gained, taken), size = states, len(take)
    new = [state for state in old if lost[state] + loss[position] <= most]
    for at in range(len(new)):
        state, new[at] = new[at], len(lost)
        lost.append(lost[state] + loss[position])
        gained.append(gained[state] + gain[position])
        parent.append(state)
        by.append(position)
        for r in range(size):
            taken.append(taken[state * size + r] + take[r][position])
    return new


@compiled
def _least(some: list[int], lost: list[float], number: int) -> list[int]:
    """So many states that lose least, in their order."""
    order = np.argsort(np.array([lost[state] for state in some]), kind="mergesort")
    return [some[at] for at in np.sort(order[:number])]


@compiled
def _traced(where: int, rest: int, parent: list[int], by: list[int], chosen: Ints) -> int:
    """Writes the alternatives of a state and of the one that completes it; how many, -1 where there is no state."""
    count = 0 if where >= 0 else -1
    while where > 0:
        chosen[count] = by[where]
        where, count = parent[where], count + 1
        if where == 0:
            where, rest = rest, 0
    return count


@compiled
def _restart(single: list[int], number: int, taken: list[int], low: list[int], high: list[int], size: int) -> list[int]:
    """The states to start again with, none where none can be completed; widens what can be taken later by these."""
    if len(single) == 0:
        return single
    for at in range(number * size + size - 1, len(low), size):
        low[at], high[at] = low[at] + taken[single[0] * size + size - 1], high[at] + taken[single[-1] * size + size - 1]
    return [0]


@compiled
def _completion(state: int, taken: list[int], slack: Ints, single: list[int]) -> int:
    """The last of some states, by what they take of the last resource, that fits beside one; -1 where none does."""
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
def _spent(request: Ints, loss: Floats, take: Ints) -> list[float]:
    """What a selection loses at least that has an alternative.

    Where requests with one alternative take the same, a cheaper one that is not used could be exchanged for a dearer
    one that is: so each loses as much as it and all the cheaper ones together.
    """
    spent, m, last = [loss[p] for p in range(len(loss))], len(loss), -1
    order = np.argsort(np.array(spent), kind="mergesort")
    for r in range(len(take)):
        order = order[np.argsort(np.array([take[r][p] for p in order]), kind="mergesort")]
    for p in order:
        if (p == 0 or request[p - 1] != request[p]) and (p == m - 1 or request[p + 1] != request[p]):
            same = last >= 0
            for r in range(len(take)):
                same = same and take[r][last] == take[r][p]
            if same:
                spent[p] += spent[last]
            last = p
    return spent


@compiled
def _stages(
    request: Ints, take: Ints, loss: Floats, spent: list[float], most: float
) -> tuple[list[int], list[float], int]:
    """The first alternative of each request that has one within the most, by their least losses; these losses.

    Those that take of the last resource alone come first; and how many they are.
    """
    first, least, single, last = [0 for _ in range(0)], [0 * most for _ in range(0)], [True for _ in range(0)], -1
    for p in range(len(request)):
        last = p if p == 0 or request[p] != request[p - 1] else last
        if spent[p] <= most:
            if len(first) == 0 or first[-1] != last:
                first.append(last)
                least.append(loss[p])
                single.append(True)
            least[-1] = min(least[-1], loss[p])
            for r in range(len(take) - 1):
                single[-1] = single[-1] and take[r][p] == 0
    rising = np.argsort(np.array(least), kind="mergesort")
    order = [at for at in rising if single[at]] + [at for at in rising if not single[at]]
    return [first[at] for at in order], [least[at] for at in order] + [math.inf], sum([1 for each in single if each])


@compiled
def _later(
    stages: list[int], request: Ints, spent: list[float], take: Ints, most: float
) -> tuple[list[int], list[int]]:
    """The least and the most that a stage and all after it can take of each resource, stage by stage."""
    size = len(take)
    low, high = [0] * (size * (len(stages) + 1)), [0] * (size * (len(stages) + 1))
    for at in range(size * len(stages) - 1, -1, -1):
        first, r = stages[at // size], at % size
        position, least, largest = first, 0, 0
        while position < len(request) and request[position] == request[first]:
            if spent[position] <= most:
                least, largest = min(least, take[r][position]), max(largest, take[r][position])
            position += 1
        low[at], high[at] = least + low[at + size], largest + high[at + size]
    return low, high


@compiled
def _alive(
    some: list[int],
    number: int,
    states: States,
    slack: Ints,
    price: Floats,
    low: list[int],
    high: list[int],
    gap: float,
) -> list[int]:
    """Those that can still come within the limits and to a gain above the incumbent's: what stays free costs."""
    (lost, _, taken), size, alive = states, len(slack), [0 for _ in range(0)]
    for state in some:
        loss, within = lost[state], True
        for r in range(size):
            at, free = number * size + r, slack[r] - taken[state * size + r]
            within = within and free >= low[at]
            loss += price[r] * max(free - high[at], 0)
        if within and loss <= gap:
            alive.append(state)
    return alive


@compiled
def _merged(some: list[int], others: list[int], states: States, size: int) -> list[int]:
    """Two lists of states by what they take, as one; without those that take no less than another of no less gain.

    Such a one is looked for among those that take the same of all resources but the last.
    """
    (_, gained, taken), merged, a, b = states, [0 for _ in range(0)], 0, 0
    while a < len(some) or b < len(others):
        from_some = b == len(others)
        if a < len(some) and b < len(others):
            r = _first_difference(some[a], others[b], taken, size)
            one, other = some[a] * size + r, others[b] * size + r
            from_some = gained[some[a]] >= gained[others[b]] if r == size else taken[one] < taken[other]
        state = some[a] if from_some else others[b]
        a, b = (a + 1, b) if from_some else (a, b + 1)
        dominated = len(merged) > 0 and gained[merged[-1]] >= gained[state]
        if not dominated or _first_difference(merged[-1], state, taken, size) < size - 1:
            merged.append(state)
    return merged


@compiled
def _first_difference(one: int, other: int, taken: list[int], size: int) -> int:
    """The first resource of which two states take different amounts; their number where there is none."""
    r = 0
    while r < size and taken[one * size + r] == taken[other * size + r]:
        r += 1
    return r
