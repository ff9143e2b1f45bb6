"""The linear relaxation: multipliers that certify every answer, and a first selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aptsched.problem.selection import Multipliers
from aptsched.support.checks import Bools, Floats
from solvers.program.formulation import FEASIBILITY_TOLERANCE, Formulation
from solvers.program.packages import package


@dataclass(frozen=True, eq=False)
class LinearOptimum:
    """An optimum of the linear relaxation.

    Attributes
    ----------
    chosen : bool array, [num_columns]
        Rounded down, so feasible. A required request that is split gets the lightest of its forms.
    multipliers : Multipliers
        The duals of the shared limits. Their bound holds however inexact they are.
    """

    chosen: Bools
    multipliers: Multipliers


def solve_linear(formulation: Formulation) -> LinearOptimum:
    """Solve the linear relaxation with HiGHS' dual simplex, through SciPy."""
    optimize = package("scipy.optimize")
    nothing = np.zeros(formulation.num_columns)
    if not formulation.num_columns:
        return LinearOptimum(round_down(formulation, nothing), Multipliers())
    values, exponent = formulation.scaled_values()
    matrix, lower, upper = constraint_rows(formulation, *formulation.scaled_limits())
    equation = lower == upper
    result = optimize.linprog(
        -values,
        A_ub=matrix[~equation],
        b_ub=upper[~equation],
        A_eq=matrix[equation],
        b_eq=upper[equation],
        bounds=(0, 1),
        method="highs-ds",
    )
    if result.x is None:
        return LinearOptimum(round_down(formulation, nothing), Multipliers())
    duals = np.ldexp(-result.ineqlin.marginals[: formulation.limits.size], -exponent)
    return LinearOptimum(round_down(formulation, result.x), formulation.multipliers(duals))


def constraint_rows(formulation: Formulation, use: Floats, limits: Floats) -> tuple[Any, Floats, Floats]:
    """The constraints as lower <= matrix x <= upper, [rows, columns] in SciPy's CSR: first the shared limits given."""
    sparse = package("scipy.sparse")
    row, equation = formulation.choices()
    column = np.flatnonzero(row >= 0)
    choices = sparse.csr_array((np.ones(column.size), (row[column], column)), shape=(equation.size, use.shape[1]))
    lower = np.concatenate([np.full(limits.size, -np.inf), np.where(equation, 1.0, -np.inf)])
    upper = np.concatenate([limits, np.ones(equation.size)])
    return sparse.vstack([sparse.csr_array(use), choices], format="csr"), lower, upper


def round_down(formulation: Formulation, x: Floats) -> Bools:
    """The columns at 1 in a solution of the relaxation, [num_columns], completed for required requests; feasible.

    The lightest form of a split required request weighs no more than the split did. If the solver's tolerances should
    still break a limit, only the required requests are kept, each in its lightest form.
    """
    for kept in (x, np.zeros_like(x)):
        chosen: Bools = kept >= 1 - FEASIBILITY_TOLERANCE
        chosen[_lightest_missing(formulation, chosen)] = True
        if formulation.is_feasible(chosen):
            break
    return chosen


def _lightest_missing(formulation: Formulation, chosen: Bools) -> list[int]:
    """The lightest column of each required request that has none chosen; of several the most valuable."""
    open_ = np.flatnonzero(formulation.required & ~np.isin(formulation.request, formulation.request[chosen]))
    weights = formulation.problem.weights[formulation.request, formulation.form - 1]
    order = open_[np.lexsort((-formulation.value[open_], weights[open_], formulation.request[open_]))]
    _, first = np.unique(formulation.request[order], return_index=True)
    lightest: list[int] = order[first].tolist()
    return lightest
