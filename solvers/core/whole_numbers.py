"""The optimum where floats cannot tell selections apart: the same loops, as they stand, in whole numbers."""

from __future__ import annotations

import numpy as np

from aptsched.knapsack.residual import Residual
from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.checks import Ints
from aptsched.support.compiled import in_plain_python
from solvers.core.alternatives import near
from solvers.core.budget import Budget
from solvers.core.states import search

PER_SECOND = 2**1074  # every float is a whole multiple of a second by this
MOST = 2**62  # more than any sum of counts
MOST_WORK = 200_000  # pairs of a state and an alternative, some tenths of a second


def best_exactly(
    problem: BatchProblem, residual: Residual, price: tuple[float, float, float], option: Ints, budget: Budget
) -> tuple[Ints, bool]:
    """The better of a feasible selection, options [n], and the best one found, and whether it is proved optimal.

    Gains are those of the problem, exactly, in units of 2**-1074 seconds, and prices are counted in the same: so are
    the bound, losses and sums.
    """
    most, limits = residual.gain.size, [int(min(limit, MOST)) for limit in residual.limits]
    taken = [(use * (limit < MOST)).tolist() for use, limit in zip(residual.options[1:], limits, strict=True)]
    options, prices = (exact_gains(problem, residual), *taken), [whole(each * residual.unit_s) for each in price]
    star, table = [0] * len(option), ([[0] * most for _ in range(5)], [[0] * most for _ in range(4)])
    slack, given = limits[::-1], (options, prices, (2, 1, 0), option.tolist(), 0)
    m, gap, incumbent, _ = in_plain_python(near)(*given, star, slack, table)
    if gap <= 0:
        return option, True
    chosen, found = [0] * most, (m, table, slack, prices[::-1], incumbent, gap, MOST)
    count, proved, _ = budget.last(in_plain_python(search)(*found, min(budget.left, MOST_WORK), chosen))
    if count < 0:
        return option, proved
    better = np.array(star)
    for at in chosen[:count]:
        better[table[0][0][at]] = table[0][1][at]
    return better, proved


def exact_gains(problem: BatchProblem, residual: Residual) -> list[list[int]]:
    """What each option, [k, n], is worth more than its request's base; 0 where it is not offered."""
    order = np.arange(problem.num_requests) if residual.order is None else residual.order
    base = np.zeros_like(order) if residual.base is None else residual.base
    values = np.insert(problem.values[order].T, 0, 0.0, axis=0)
    held = [whole(value) for value in values[base, np.arange(len(order))].tolist()]
    rows = zip(values[1:].tolist(), (residual.gain > 0).tolist(), strict=True)
    return [[(whole(v) - h) * offered for v, offered, h in zip(*row, held, strict=True)] for row in rows]


def whole(value: float) -> int:
    """A float in units of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * (PER_SECOND // denominator)
