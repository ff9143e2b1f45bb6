"""Dynamic programming over what is left to decide: states of all resources, pruned by the bound."""

from __future__ import annotations

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled

States = tuple[list[float], list[float], list[int]]  # what each has lost and gained, and, D numbers of each, taken


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
) -> tuple[int, bool, int]:
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

    Returns
    -------
    count, proved, work : int, bool, int
        How many are chosen, -1 where nothing better than the incumbent was found; how many pairs were looked at.

    Notes
    -----
    Requests are decided one by one, the one with the least loss first. A state is what the requests so far take and
    gain more than with their best options. It is dropped where even the bound on what can become of it is not above the
    incumbent, where it cannot come within the limits any more, or where another takes no more for no less gain. Source:
    Pisinger (1995), a minimal algorithm for the multiple-choice knapsack problem.
    """
    request, take, loss, gain = whole[0][:m], whole[2:], real[0][:m], real[1][:m]
    size, proved, work, where = len(slack), True, 0, -1
    spent = _spent(request, loss, take)
    stages, least = _stages(request, loss, spent, gap + missed)
    low, high = _later(stages, request, spent, take, gap + missed)
    lost, gained, parent, by, taken, states = [0 * gap], [0 * gap], [-1], [-1], [0 for _ in range(size)], [0]
    if best < 0 and _fits(0, taken, slack):
        where, gap, best = 0, gap + best, 0 * gap
    for number in range(len(stages)):
        if least[number] > gap or work > max_work:
            break
        old = _alive(states, number, (lost, gained, taken), slack, price, low, high, gap)
        states, position = old, stages[number]
        while position < len(request) and request[position] == request[stages[number]] and work <= max_work:
            if spent[position] <= gap + missed:
                work += len(old)
                new = [state for state in old if lost[state] + loss[position] <= gap and work <= max_work]
                for at in range(len(new)):
                    state, new[at] = new[at], len(lost)
                    lost.append(lost[state] + loss[position])
                    gained.append(gained[state] + gain[position])
                    parent.append(state)
                    by.append(position)
                    for r in range(size):
                        taken.append(taken[state * size + r] + take[r][position])
                    if gained[-1] > best and _fits(new[at], taken, slack):
                        where, gap, best = new[at], gap - (gained[-1] - best), gained[-1]
                states = _merged(states, new, (lost, gained, taken), size)
            position += 1
        if len(states) > beam:  # those that lose least, in their order
            order = np.argsort(np.array([lost[state] for state in states]), kind="mergesort")
            states, proved = [states[at] for at in np.sort(order[:beam])], False
    count = 0 if where >= 0 else -1
    while where > 0:
        chosen[count] = by[where]
        where, count = parent[where], count + 1
    return count, proved and work <= max_work, work


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
def _stages(request: Ints, loss: Floats, spent: list[float], most: float) -> tuple[list[int], list[float]]:
    """The first alternative of each request that has one within the most, by their least losses; these losses."""
    first, least, last = [0 for _ in range(0)], [0 * most for _ in range(0)], -1
    for p in range(len(request)):
        last = p if p == 0 or request[p] != request[p - 1] else last
        if spent[p] <= most:
            if len(first) == 0 or first[-1] != last:
                first.append(last)
                least.append(loss[p])
            least[-1] = min(least[-1], loss[p])
    order = np.argsort(np.array(least), kind="mergesort")
    return [first[at] for at in order], [least[at] for at in order]


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
def _fits(state: int, taken: list[int], slack: Ints) -> bool:
    """Whether a state is within all limits."""
    fits = True
    for r in range(len(slack)):
        fits = fits and taken[state * len(slack) + r] <= slack[r]
    return fits


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
