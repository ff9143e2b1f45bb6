"""Dynamic programming over several resources: lists of states, pruned by the gap that their losses leave."""

from __future__ import annotations

import numpy as np

from aptsched.checks import Floats, Ints
from solvers.alternatives import Alternatives
from solvers.budget import Budget

MANY = 48  # states from which on it pays to look for those that take the same


def best_of_states(
    alternatives: Alternatives, price: Floats, slack: Ints, incumbent_s: float, gap: float, beam: int, budget: Budget
) -> tuple[Ints, bool]:
    """The most gain of any choice of at most one alternative for each request that takes at most the slack.

    Parameters
    ----------
    alternatives : Alternatives
    price : float array, [D]
        The multipliers that the losses are measured by.
    slack : int array, [D]
    incumbent_s, gap : float
        Gain of the incumbent above the LP's options, and by how much the bound is above it, in seconds.
    beam : int
        Most states kept; where there are more the answer is not proved.

    Returns
    -------
    chosen, proved : int array, bool
        Positions of the alternatives, none where nothing is better than the incumbent; and whether that is proved.

    Notes
    -----
    A state is what some first requests take and gain. It is dropped where its losses exceed the gap, where it cannot
    come within the limits any more, and where another takes the same for more gain.
    """
    stages, starts = alternatives.stages(), alternatives.starts
    if not stages:
        return np.empty(0, np.int64), True
    cheapest = np.minimum.reduceat(alternatives.loss, starts).tolist()
    least = np.minimum(np.minimum.reduceat(alternatives.take, starts, axis=1), 0)
    later = least.sum(axis=1, keepdims=True) - np.cumsum(least, axis=1)  # the least that requests after this one take
    ceilings = slack[:, None] - later
    rates, room = price[:, None], slack[:, None]
    take, gain, proved = np.zeros((len(slack), 1), np.int64), np.zeros(1), True
    best, where = incumbent_s, None
    history: list[tuple[Ints, Ints]] = []
    if (slack >= 0).all() and best < 0:
        best, where, gap = 0.0, (0, 0), gap + incumbent_s
    for number, stage in enumerate(stages):
        count = len(gain)
        if cheapest[number] > gap or not count:
            break
        if not budget.spend(count * (1 + stage.stop - stage.start)):
            proved = False
            break
        parts = [take + alternatives.take[:, p : p + 1] for p in range(stage.start, stage.stop)]
        gains = [gain + alternatives.gain[p] for p in range(stage.start, stage.stop)]
        take, gain = np.concatenate([take, *parts], axis=1), np.concatenate([gain, *gains])
        loss = (rates * take).sum(axis=0) - gain
        alive = np.flatnonzero((loss <= gap) & (take <= ceilings[:, number : number + 1]).all(axis=0))
        if len(alive) > MANY:
            alive = alive[_undominated(take[:, alive], gain[alive])]
        if len(alive) > beam:
            alive, proved = alive[np.argpartition(loss[alive], beam)[:beam]], False
        take, gain = take[:, alive], gain[alive]
        history.append((alive % count, stage.start - 1 + alive // count))
        complete = np.where((take <= room).all(axis=0), gain, -np.inf)
        top = float(complete.max(initial=-np.inf))
        if top > best:
            gap -= top - best
            best, where = top, (number + 1, int(complete.argmax()))
    return _chosen(history, where, starts.tolist()), proved


def _undominated(take: Ints, gain: Floats) -> Ints:
    """Positions of the states that gain the most of those that take the same."""
    span = take.max(axis=1, initial=0) - take.min(axis=1, initial=0) + 1
    if len(gain) < 2 or float(np.prod(span.astype(float))) > 2.0**62:
        return np.arange(len(gain))
    key = np.zeros(len(gain), np.int64)
    for row, size in zip(take, span, strict=True):
        key = key * size + (row - row.min())
    order: Ints = np.lexsort((-gain, key))
    ranked = key[order]
    best: Ints = order[np.append(True, ranked[1:] != ranked[:-1])]
    return best


def _chosen(history: list[tuple[Ints, Ints]], where: tuple[int, int] | None, starts: list[int]) -> Ints:
    """The alternatives that lead to a state."""
    chosen: list[int] = []
    if where is None:
        return np.array(chosen, np.int64)
    count, state = where
    for number in range(count - 1, -1, -1):
        parents, positions = history[number]
        if positions[state] >= starts[number]:
            chosen.append(int(positions[state]))
        state = int(parents[state])
    return np.array(chosen, np.int64)
