"""SciPy's `milp`: HiGHS branch and bound."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from solvers.program.answer import Finding, answer
from solvers.program.duals import LinearOptimum, constraint_rows
from solvers.program.formulation import Formulation
from solvers.program.packages import package
from solvers.program.scaled_rows import scale_rows
from solvers.program.silence import silence
from solvers.program.tolerances import missed_s, safe_bound_s
from solvers.solution import Solution


def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
    """Solve with `scipy.optimize.milp`.

    How exact OPTIMAL is: the relative gap is 0. SciPy does not offer HiGHS' absolute gap of 1e-6, but values are scaled
    (`Formulation.scaled_values`), so it is at most 2e-11 of the largest. HiGHS works in floats; what it proves counts
    where its tolerances can hide no more than 2**-33 of the values (`solvers.program.tolerances`).

    Raises
    ------
    InputError
        For a time limit that is not above 0, or if SciPy is not installed.
    """
    return answer(partial(_run, package("scipy.optimize")), problem, time_limit_s)


def _run(optimize: Any, formulation: Formulation, relaxation: LinearOptimum, time_limit_s: float) -> Finding:
    values, _ = formulation.scaled_values()
    limited = scale_rows(formulation)
    with silence():
        result = optimize.milp(
            np.concatenate([-values, np.zeros(limited.most.size)]),
            integrality=np.ones(limited.use.shape[1]),
            bounds=optimize.Bounds(0, np.concatenate([np.ones(formulation.num_columns), limited.most])),
            constraints=optimize.LinearConstraint(*constraint_rows(formulation, limited.use, limited.limits)),
            options={"mip_rel_gap": 0.0, "time_limit": time_limit_s},
        )
    bound = result.mip_dual_bound
    return Finding(
        x=None if result.x is None else result.x[: formulation.num_columns],
        proved=result.status == 0,
        bound_s=math.inf if bound is None else safe_bound_s(formulation, -bound),
        missed_s=missed_s(formulation),
    )
