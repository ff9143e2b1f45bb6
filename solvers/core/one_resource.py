"""Dynamic programming over one resource: the best gain for every amount taken."""

from __future__ import annotations

import numpy as np

from aptsched.support.checks import Floats, Ints
from solvers.core.alternatives import Alternatives
from solvers.core.budget import Budget

WIDEST = 2**15  # amounts; beyond that lists of states are shorter than tables


def width(alternatives: Alternatives) -> int:
    """The number of amounts, and so of columns, that a table for these alternatives has."""
    low, high = _range(alternatives)
    return high - low + 1


def best_in_table(alternatives: Alternatives, slack: int, budget: Budget) -> Ints | None:
    """The choice of largest gain: at most one alternative for each request, taking at most the slack together.

    Parameters
    ----------
    alternatives : Alternatives
        For one resource, take [1, m].
    slack : int
        May be negative.

    Returns
    -------
    int array or None
        Positions of the alternatives chosen (empty where nothing fits); None if the budget is used up.

    Source: Pisinger's dynamic programming over a core; a row stands for a request, a column for the amount taken, from
    the least to the most that all requests can take together.
    """
    low, high = _range(alternatives)
    size, zero = high - low + 1, -low
    stages = alternatives.stages()
    if not budget.spend(size * (len(alternatives.request) + 1)):
        return None
    if slack + zero < 0:
        return np.empty(0, np.int64)
    table = np.full((len(stages) + 1, size), -np.inf)
    table[0, zero] = 0.0
    take, gain = alternatives.take[0].tolist(), alternatives.gain.tolist()
    for row, stage in enumerate(stages):
        before, after = table[row], table[row + 1]
        after[:] = before
        for position in range(stage.start, stage.stop):
            shift = take[position]
            source = before[: size - shift] if shift >= 0 else before[-shift:]
            target = after[shift:] if shift >= 0 else after[: size + shift]
            np.maximum(target, source + gain[position], out=target)
    column = int(table[-1, : slack + zero + 1].argmax())
    return _chosen(alternatives, stages, table, column)


def _chosen(alternatives: Alternatives, stages: list[slice], table: Floats, column: int) -> Ints:
    """The alternatives that lead to an entry of the last row."""
    take, gain = alternatives.take[0].tolist(), alternatives.gain.tolist()
    chosen: list[int] = []
    for row in range(len(stages), 0, -1):
        if table[row, column] == table[row - 1, column]:
            continue
        stage = stages[row - 1]
        position = next(
            p
            for p in range(stage.start, stage.stop)
            if 0 <= column - take[p] < table.shape[1]
            and table[row - 1, column - take[p]] + gain[p] == table[row, column]
        )
        chosen.append(position)
        column -= take[position]
    return np.array(chosen, np.int64)


def _range(alternatives: Alternatives) -> tuple[int, int]:
    """The least and the most that all requests together can take."""
    if not len(alternatives.request):
        return 0, 0
    take, starts = alternatives.take[0], alternatives.starts
    low, high = np.minimum.reduceat(take, starts), np.maximum.reduceat(take, starts)
    return int(np.minimum(low, 0).sum()), int(np.maximum(high, 0).sum())
