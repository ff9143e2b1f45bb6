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

    Requests are decided one by one, the one with the least loss first. A state is what the requests so far take and
    gain more than with their best options. It is dropped where even the bound on what can become of it is not above the
    incumbent, where it cannot come within the limits any more, or where another takes no more for no less gain
    (Pisinger 1995, a minimal algorithm for the multiple-choice knapsack problem). Requests whose alternatives take of
    the last resource alone come first, and their states are kept: each state of the others is completed by the best of
    these that fits, so that whoever goes on from it has another alternative's loss ahead.

    Parameters
    ----------
    m, table, slack
        As `near` has written them.
    price : array, [D]
        The multipliers of these resources.
    best, gap : float
        Gain of the incumbent above the best options; by how much the bound is above it, and what sums of losses miss.
    beam, max_work : int
        Most states kept, and most pairs of a state and an alternative looked at; beyond, the answer is not proved.
    chosen : int array, [m]
        Written: positions of the alternatives chosen.

    Yields
    ------
    count, proved, work : int, bool, int
        How many are chosen, -1 where nothing better was found; how many pairs were looked at. At the end, and before
        now and then, so that the caller may leave it at that.
    """
    (whole, real), size = table, len(slack)
    (loss, gain), begin = (real[0], real[1]), [p for p in range(m) if p == 0 or whole[0][p] > whole[0][p - 1]] + [m]
    take = [whole[2 + r][p] for p in range(m) for r in range(size)]
    stages, num_single, least, spent = _stages(begin, take, loss, gap, size)
    low, high = _later(stages, begin, take, size)
    limits, proved, work, pause, where, rest = (slack, price, low, high), True, 0, PAUSE, -1, 0
    lost, gained, taken, parent, by, states, single = [0 * gap], [0 * gap], [0] * size, [-1], [-1], [0], [0]
    if best < 0 and _completion(0, taken, slack, single) >= 0:
        where, gap, best = 0, gap + best, 0 * gap
    for stage in range(len(stages)):
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
        for position in range(begin[stages[stage]], begin[stages[stage] + 1]):
            if max(spent[stage], loss[position]) > gap or work > max_work:
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
            states = _merged(states, first, gained, taken, size)
            if work >= pause:
                pause = work + PAUSE
                yield _traced(where, rest, parent, by, chosen), False, work
        if len(states) > beam:
            least_first = np.argsort(np.array([lost[state] for state in states]), kind="mergesort")
            states, proved = [states[at] for at in np.sort(least_first[:beam])], False
    yield _traced(where, rest, parent, by, chosen), proved and work <= max_work, work


@compiled
def _stages(
    begin: list[int], take: list[int], loss: Floats, most: float, size: int
) -> tuple[list[int], int, list[float], list[float]]:
    """The requests that a better selection may have at an alternative, by least loss; first those of the last resource.

    How many these are; the least loss, in this order, and infinity; what a selection loses at least that has one.
    """
    least, others = [loss[p] for p in begin[:-1]], [0] * (len(begin) - 1)
    for q in range(len(least)):
        for p in range(begin[q], begin[q + 1]):
            least[q] = min(least[q], loss[p])
            for r in range(size - 1):
                others[q] |= take[p * size + r]  # not 0 where they take of other resources than the last
    order = np.argsort(np.array(least), kind="mergesort")
    spent = _spent(order, begin, take, least, size)
    kept = [q for q in order if spent[q] <= most]
    stages = [q for alone in (True, False) for q in kept if (others[q] == 0) == alone]
    num_single = len([q for q in kept if others[q] == 0])
    return stages, num_single, [*[least[q] for q in stages], math.inf], [spent[q] for q in stages]


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
def _later(stages: list[int], begin: list[int], take: list[int], size: int) -> tuple[list[int], list[int]]:
    """The least and the most that a stage and all after it can take of each resource, stage by stage."""
    low, high = [0] * (size * (len(stages) + 1)), [0] * (size * (len(stages) + 1))
    for at in range(size * len(stages) - 1, -1, -1):
        q, least, most = stages[at // size], 0, 0
        for p in range(begin[q], begin[q + 1]):
            least, most = min(least, take[p * size + at % size]), max(most, take[p * size + at % size])
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
def _merged(some: list[int], first: int, gained: list[float], taken: list[int], size: int) -> list[int]:
    """States and the new ones from `first` on, both by what they take; none that takes no less for no more gain.

    Such a one is looked for among those that take the same of all resources but the last.
    """
    merged, a, b = some[:0], 0, first
    while a < len(some) or b < len(gained):
        from_some = b == len(gained)
        if a < len(some) and b < len(gained):
            r = _first_difference(some[a], b, taken, size)
            one, other = some[a] * size + r, b * size + r
            from_some = gained[some[a]] >= gained[b] if r == size else taken[one] < taken[other]
        state = some[a] if from_some else b
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
def _traced(where: int, rest: int, parent: list[int], by: list[int], chosen: Ints) -> int:
    """Writes the alternatives of a state and of the one that completes it; how many, -1 where there is no state."""
    count = 0 if where >= 0 else -1
    while where > 0:
        chosen[count] = by[where]
        where, count = parent[where], count + 1
        if where == 0:
            where, rest = rest, 0
    return count
