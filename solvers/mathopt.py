"""OR-Tools MathOpt: SCIP and HiGHS."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any, Literal

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.errors import InputError
from solvers.program.answer import Finding, answer
from solvers.program.duals import LinearOptimum
from solvers.program.formulation import Formulation
from solvers.program.packages import package
from solvers.program.scaled_rows import ScaledRows, scale_rows
from solvers.program.silence import silence
from solvers.program.tolerances import missed_s, safe_bound_s
from solvers.solution import Solution

Backend = Literal["highs", "scip"]
BACKENDS = {"highs": "HIGHS", "scip": "GSCIP"}


def solve(problem: BatchProblem, time_limit_s: float | None = None, backend: Backend = "highs") -> Solution:
    """Solve with HiGHS or SCIP through MathOpt.

    How exact OPTIMAL is: the relative and the absolute gap are 0. Both backends work in floats; what they prove counts
    where their tolerances can hide no more than 2**-33 of the values (`solvers.program.tolerances`).

    Raises
    ------
    InputError
        For a time limit that is not above 0, an unknown backend, or if OR-Tools or SciPy is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend: {backend!r} is not accepted; one of {', '.join(BACKENDS)} is")
    return answer(partial(_run, package("ortools.math_opt.python.mathopt"), backend), problem, time_limit_s)


def _run(
    mathopt: Any, backend: str, formulation: Formulation, relaxation: LinearOptimum, time_limit_s: float
) -> Finding:
    values, _ = formulation.scaled_values()
    model = mathopt.Model()
    columns = [model.add_binary_variable() for _ in range(formulation.num_columns)]
    _constrain(mathopt, model, columns, formulation, scale_rows(formulation))
    model.maximize(_sum(mathopt, values.tolist(), columns))
    parameters = mathopt.SolveParameters(
        relative_gap_tolerance=0.0,
        absolute_gap_tolerance=0.0,
        time_limit=datetime.timedelta(seconds=time_limit_s),
    )
    with silence():
        result = mathopt.solve(model, getattr(mathopt.SolverType, BACKENDS[backend]), params=parameters)
    bound = result.termination.objective_bounds.dual_bound
    return Finding(
        x=np.array(result.variable_values(columns)) if result.has_primal_feasible_solution() else None,
        proved=result.termination.reason == mathopt.TerminationReason.OPTIMAL,
        bound_s=safe_bound_s(formulation, bound),
        missed_s=missed_s(formulation),
    )


def _constrain(mathopt: Any, model: Any, columns: list[Any], formulation: Formulation, limited: ScaledRows) -> None:
    for members, equation in formulation.groups():
        served = mathopt.fast_sum([columns[member] for member in members])
        model.add_linear_constraint(served == 1 if equation else served <= 1)
    carries = [model.add_integer_variable(lb=0.0, ub=most) for most in limited.most.tolist()]
    for use, limit in zip(limited.use.tolist(), limited.limits.tolist(), strict=True):
        model.add_linear_constraint(_sum(mathopt, use, [*columns, *carries]) <= limit)


def _sum(mathopt: Any, coefficients: list[float], columns: list[Any]) -> Any:
    return mathopt.fast_sum([a * column for a, column in zip(coefficients, columns, strict=True) if a])
