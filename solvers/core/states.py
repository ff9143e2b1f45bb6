"""Dynamic programming over what is left to decide: states of all resources, pruned by the bound."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled
from solvers.core.alternatives import Table

Limits = tuple[Ints, Floats, list[int], list[int]]  # what is free, its price; least and most that a stage on can take
PAUSE = 2000  # pairs after which the caller may look at the clock


@compiled
def search(
    m: int, table: Table, slack: Ints, price: Floats, best: float, gap: float, beam: int, max_work: int, chosen: Ints
) -> Iterator[tuple[int, bool, int]]:
    """The choice of largest gain: at most one alternative for each request, taking at most the slack together.

    Parameters
    ----------
    m, table
        The alternatives, as `near` has written them.
    slack, price : array, [D]
        What is free of each resource, maybe less than 0; its multiplier.
    best, gap : float
        Gain of the incumbent above the best options; by how much the bound is above it, and what sums of losses miss.
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
    (whole, real), size = table, len(slack)
    request, loss, gain = whole[0][:m], real[0][:m], real[1][:m]
    take = [whole[2 + r][p] for p in range(m) for r in range(size)]
    kept, begin, spent, least, num_single = _stages(request, take, loss, gap, size)
    low, high = _later(kept, begin, take, size)
    limits, proved, work, pause, where, rest = (slack, price, low, high), True, 0, PAUSE, -1, 0
    lost, gained, taken, parent, by, states, single = [0 * gap], [0 * gap], [0] * size, [-1], [-1], [0], [0]
    if best < 0 and _completion(0, taken, slack, single) >= 0:
        where, gap, best = 0, gap + best, 0 * gap
    for stage in range(len(begin) - 1):
        ahead = gap - min(least[stage], least[max(stage, num_single)])
        if stage == num_single:
            single, states = _alive(states, stage, lost, taken, limits, ahead), [0]
            if len(single) == 0:
                break
            for at in range(stage * size + size - 1, len(low), size):
                low[at] += taken[single[0] * size + size - 1]
                high[at] += taken[single[-1] * size + size - 1]
        if least[stage] > gap or len(states) == 0 or work > max_work:
            continue
        old = states = _alive(states, stage, lost, taken, limits, ahead)
        for at in range(begin[stage], begin[stage + 1]):
            position, new = kept[at], old[:0]
            if spent[position] > gap or work > max_work:
                continue
            work += len(old)
            for state in old if work <= max_work else new:
                if lost[state] + loss[position] <= gap:
                    new.append(len(lost))
                    parent.append(state)
                    by.append(position)
                    lost.append(lost[state] + loss[position])
                    gained.append(gained[state] + gain[position])
                    for r in range(size):
                        taken.append(taken[state * size + r] + take[position * size + r])
                    if gained[-1] + gained[single[-1]] > best:
                        found = _completion(new[-1], taken, slack, single)
                        if found >= 0 and gained[-1] + gained[found] > best:
                            where, rest, better = new[-1], found, gained[-1] + gained[found]
                            gap, best = gap - (better - best), better
            states = _merged(states, new, gained, taken, size)
            if work >= pause:
                pause = work + PAUSE
                yield _traced(where, rest, parent, by, chosen), False, work
        if len(states) > beam:
            states, proved = _least(states, lost, beam), False
    yield _traced(where, rest, parent, by, chosen), proved and work <= max_work, work


@compiled
def _stages(
    request: Ints, take: list[int], loss: Floats, most: float, size: int
) -> tuple[list[int], list[int], list[float], list[float], int]:
    """The alternatives that a better selection may have, request by request: positions, and where each request begins.

    Then what a selection loses at least that has an alternative, by position; and the least loss of each request. They
    are in its order, but those that take of the last resource alone come first; how many these are.
    """
    kept, begin, least, num_single = [0 for _ in range(0)], [0 for _ in range(0)], [0 * most for _ in range(0)], 0
    first, others, done = [0 for _ in loss], [0 for _ in loss], [False for _ in loss]
    for p in range(len(loss)):
        first[p] = p if p == 0 or request[p] != request[p - 1] else first[p - 1]
        for r in range(size - 1):
            others[first[p]] |= take[p * size + r]  # not 0 where they take of other resources than the last
    order = np.argsort(loss, kind="mergesort")
    spent = _spent(order, first, take, loss, size)
    for alone in (True, False):
        for p in order:
            if spent[p] <= most and not done[first[p]] and (others[first[p]] == 0) == alone:
                q, done[first[p]], num_single = first[p], True, num_single + alone
                begin.append(len(kept))
                least.append(loss[p])
                while q < len(first) and first[q] == first[p]:
                    if spent[q] <= most:
                        kept.append(q)
                    q += 1
    return kept, [*begin, len(kept)], spent, [*least, math.inf], num_single


@compiled
def _spent(order: Ints, first: list[int], take: list[int], loss: Floats, size: int) -> list[float]:
    """What a selection loses at least that has an alternative.

    Where requests with one alternative take the same, a cheaper one that is not used could be exchanged for a dearer
    one that is: so each loses as much as it and all the cheaper ones together.
    """
    spent, m = [loss[p] for p in range(len(loss))], len(loss)
    last = [-1] * (2 * m)  # of those that take the same, by a hash of what they take
    for p in order:
        if first[p] == p and (p == m - 1 or first[p + 1] == p + 1):
            at = 0
            for r in range(size):
                at = (31 * at + take[p * size + r]) % len(last)
            while last[at] >= 0 and _first_difference(last[at], p, take, size) < size:
                at = (at + 1) % len(last)
            spent[p] += spent[last[at]] if last[at] >= 0 else 0
            last[at] = p
    return spent


@compiled
def _later(kept: list[int], begin: list[int], take: list[int], size: int) -> tuple[list[int], list[int]]:
    """The least and the most that a stage and all after it can take of each resource, stage by stage."""
    low, high = [0] * (size * len(begin)), [0] * (size * len(begin))
    for at in range(size * (len(begin) - 1) - 1, -1, -1):
        least, most = 0, 0
        for each in range(begin[at // size], begin[at // size + 1]):
            more = take[kept[each] * size + at % size]
            least, most = min(least, more), max(most, more)
        low[at], high[at] = least + low[at + size], most + high[at + size]
    return low, high


@compiled
def _alive(some: list[int], stage: int, lost: list[float], taken: list[int], limits: Limits, gap: float) -> list[int]:
    """Those that can still come within the limits and to a gain above the incumbent's: what stays free costs."""
    (slack, price, low, high), size, alive = limits, len(limits[0]), some[:0]
    for state in some:
        loss, within = lost[state], True
        for r in range(size):
            at, free = stage * size + r, slack[r] - taken[state * size + r]
            within = within and free >= low[at]
            loss += price[r] * max(free - high[at], 0)
        if within and loss <= gap:
            alive.append(state)
    return alive


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
def _merged(some: list[int], others: list[int], gained: list[float], taken: list[int], size: int) -> list[int]:
    """Two lists of states by what they take, as one; without those that take no less than another of no less gain.

    Such a one is looked for among those that take the same of all resources but the last.
    """
    merged, a, b = some[:0], 0, 0
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
