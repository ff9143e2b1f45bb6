"""Dynamic programming over what is left to decide: states of all resources, pruned by the bound."""

from __future__ import annotations

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled
from solvers.core.alternatives import Alternatives

ROUNDED = 1 + 1e-9  # of the gap: what sums of losses may miss


def best_of_states(
    alternatives: Alternatives,
    slack: list[int],
    price: list[float],
    incumbent_s: float,
    gap: float,
    beam: int,
    max_work: float,
) -> tuple[Ints, bool, int]:
    """The choice of largest gain: at most one alternative for each request, taking at most the slack together.

    Parameters
    ----------
    alternatives : Alternatives
    slack : list of int, [D]
        May be negative.
    price : list of float, [D]
        The multipliers of the resources.
    incumbent_s, gap : float
        Gain of the incumbent above the LP's options, and by how much the bound is above it, in seconds.
    beam : int
        Most states kept; where there are more the answer is not proved.
    max_work : float
        Most pairs of a state and an alternative that are looked at.

    Returns
    -------
    chosen, proved, work : int array, bool, int
        Positions of the alternatives, empty where none better than the incumbent was found; whether that is proved;
        and how many pairs were looked at.

    Notes
    -----
    Requests are decided one by one, the one with the least loss first. A state is what the requests so far take and
    gain more than with the LP's options. It is dropped where even the bound on what can become of it is not above the
    incumbent, where it cannot come within the limits any more, or where another takes no more for no less gain. Where
    requests with one alternative take the same, a cheaper one that is not used could be exchanged for a dearer one that
    is: so each loses as much as it and all the cheaper ones together. Source: Pisinger (1995), a minimal algorithm for
    the multiple-choice knapsack problem.
    """
    chosen, limit = np.empty(len(alternatives.request), np.int64), min(max_work, 2.0**62)
    given = (alternatives.request, alternatives.loss, alternatives.gain, alternatives.take)
    count, proved, work = search(
        *given, np.array(slack, np.int64), np.array(price, np.float64), incumbent_s, gap, beam, int(limit), chosen
    )
    return chosen[:count], proved, work


@compiled
def search(
    request: Ints,
    loss: Floats,
    gain: Floats,
    take: Ints,
    slack: Ints,
    price: Floats,
    best: float,
    gap: float,
    beam: int,
    max_work: int,
    chosen: Ints,
) -> tuple[int, bool, int]:
    """The search of `best_of_states`; writes the alternatives chosen and returns how many they are."""
    num_resources, proved, work, where = len(slack), True, 0, -1
    spent = _spent(request, loss, take)
    stages, least = _stages(request, loss, spent, gap)
    low, high = _later(stages, request, spent, take, gap)
    lost, gained, parent, by = [0.0], [0.0], [-1], [-1]
    taken = [0 for _ in range(num_resources)]
    states = [0]
    if best < 0 and _fits(0, taken, slack):
        where, gap, best = 0, gap + best, 0.0
    for number in range(len(stages)):
        if least[number] > gap:
            break
        old = _alive(states, number, lost, taken, slack, price, low, high, gap)
        states, position = old, stages[number]
        while proved and position < len(request) and request[position] == request[stages[number]]:
            if spent[position] <= gap * ROUNDED:
                work += len(old)
                if work > max_work:
                    proved = False
                    break
                new = _with(position, old, loss, gain, take, lost, gained, parent, by, taken, gap)
                for state in new:
                    if gained[state] > best and _fits(state, taken, slack):
                        where, gap, best = state, gap - (gained[state] - best), gained[state]
                states = _merged(states, new, gained, taken, num_resources)
            position += 1
        if work > max_work:
            break
        if len(states) > beam:
            states, proved = _narrowed(states, lost, beam), False
    count = 0
    while where > 0:
        chosen[count] = by[where]
        where, count = parent[where], count + 1
    return count, proved, work


@compiled
def _spent(request: Ints, loss: Floats, take: Ints) -> list[float]:
    """What a selection loses at least that has an alternative."""
    spent, m = [loss[p] for p in range(len(loss))], len(loss)
    order = np.argsort(np.array(spent), kind="mergesort")
    for r in range(len(take) - 1, -1, -1):
        order = order[np.argsort(np.array([take[r][p] for p in order]), kind="mergesort")]
    last = -1
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
def _stages(request: Ints, loss: Floats, spent: list[float], gap: float) -> tuple[list[int], list[float]]:
    """The first alternative of each request that has one within the gap, by their least losses; these losses."""
    first, least, last = [0 for _ in range(0)], [0.0 for _ in range(0)], -1
    for p in range(len(request)):
        if p == 0 or request[p] != request[p - 1]:
            last = p
        if spent[p] <= gap * ROUNDED:
            if len(first) == 0 or first[-1] != last:
                first.append(last)
                least.append(loss[p])
            least[-1] = min(least[-1], loss[p])
    order = np.argsort(np.array(least), kind="mergesort")
    return [first[at] for at in order], [least[at] for at in order]


@compiled
def _later(stages: list[int], request: Ints, spent: list[float], take: Ints, gap: float) -> tuple[list[int], list[int]]:
    """The least and the most that a stage and all after it can take of each resource, stage by stage."""
    num_resources = len(take)
    low, high = [0] * (num_resources * (len(stages) + 1)), [0] * (num_resources * (len(stages) + 1))
    for number in range(len(stages) - 1, -1, -1):
        for r in range(num_resources):
            position, least, most = stages[number], 0, 0
            while position < len(request) and request[position] == request[stages[number]]:
                if spent[position] <= gap * ROUNDED:
                    least, most = min(least, take[r][position]), max(most, take[r][position])
                position += 1
            at = number * num_resources + r
            low[at], high[at] = least + low[at + num_resources], most + high[at + num_resources]
    return low, high


@compiled
def _fits(state: int, taken: list[int], slack: Ints) -> bool:
    """Whether a state is within all limits."""
    r = 0
    while r < len(slack) and taken[state * len(slack) + r] <= slack[r]:
        r += 1
    return r == len(slack)


@compiled
def _alive(
    states: list[int],
    number: int,
    lost: list[float],
    taken: list[int],
    slack: Ints,
    price: Floats,
    low: list[int],
    high: list[int],
    gap: float,
) -> list[int]:
    """The states that can still come within the limits and to a gain above the incumbent's: what stays free costs."""
    num_resources, alive = len(slack), [0 for _ in range(0)]
    for state in states:
        loss, within = lost[state], True
        for r in range(num_resources):
            at, free = number * num_resources + r, slack[r] - taken[state * num_resources + r]
            within = within and free >= low[at]
            if free > high[at]:
                loss += price[r] * (free - high[at])
        if within and loss <= gap:
            alive.append(state)
    return alive


@compiled
def _with(
    position: int,
    states: list[int],
    loss: Floats,
    gain: Floats,
    take: Ints,
    lost: list[float],
    gained: list[float],
    parent: list[int],
    by: list[int],
    taken: list[int],
    gap: float,
) -> list[int]:
    """New states: those given, each with an alternative, as far as the gap allows."""
    num_resources, new = len(take), [0 for _ in range(0)]
    for state in states:
        if lost[state] + loss[position] <= gap:
            new.append(len(lost))
            lost.append(lost[state] + loss[position])
            gained.append(gained[state] + gain[position])
            parent.append(state)
            by.append(position)
            for r in range(num_resources):
                taken.append(taken[state * num_resources + r] + take[r][position])
    return new


@compiled
def _merged(some: list[int], others: list[int], gained: list[float], taken: list[int], num_resources: int) -> list[int]:
    """Two lists of states by what they take, as one; without those that take no less than another of no less gain.

    Such a one is looked for among those that take the same of all resources but the last.
    """
    merged, a, b = [0 for _ in range(0)], 0, 0
    while a < len(some) or b < len(others):
        if b == len(others):
            state, a = some[a], a + 1
        elif a == len(some):
            state, b = others[b], b + 1
        else:
            differs = _first_difference(some[a], others[b], taken, num_resources)
            one, other = some[a] * num_resources + differs, others[b] * num_resources + differs
            ahead = gained[some[a]] >= gained[others[b]] if differs == num_resources else taken[one] < taken[other]
            state = some[a] if ahead else others[b]
            a, b = (a + 1, b) if ahead else (a, b + 1)
        dominated = len(merged) > 0 and gained[merged[-1]] >= gained[state]
        if not dominated or _first_difference(merged[-1], state, taken, num_resources) < num_resources - 1:
            merged.append(state)
    return merged


@compiled
def _first_difference(one: int, other: int, taken: list[int], num_resources: int) -> int:
    """The first resource of which two states take different amounts; their number where there is none."""
    r = 0
    while r < num_resources and taken[one * num_resources + r] == taken[other * num_resources + r]:
        r += 1
    return r


@compiled
def _narrowed(states: list[int], lost: list[float], beam: int) -> list[int]:
    """The states that lose least, in their order."""
    order = np.argsort(np.array([lost[state] for state in states]), kind="mergesort")
    return [states[at] for at in np.sort(order[:beam])]
