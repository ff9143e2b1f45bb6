"""SciPy's `milp`: HiGHS branch and bound."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from aptsched.problem import BatchProblem
from solvers.answer import Finding, answer
from solvers.formulation import Formulation
from solvers.packages import package
from solvers.relaxation import Relaxation, constraint_rows
from solvers.silence import silence
from solvers.solution import Solution


def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
    """Solve with `scipy.optimize.milp`.

    How exact OPTIMAL is: the relative gap is 0. SciPy does not offer HiGHS' absolute gap of 1e-6, but values are scaled
    (`Formulation.scaled_values`), so it is at most 2e-11 of the largest. HiGHS works in floats, with tolerances of 1e-6
    on rows and 1e-7 on reduced costs: its proof holds up to those, not in exact arithmetic.

    Raises
    ------
    InputError
        For a time limit that is not above 0, or if SciPy is not installed.
    """
    return answer(partial(_run, package("scipy.optimize")), problem, time_limit_s)


def _run(optimize: Any, formulation: Formulation, relaxation: Relaxation, time_limit_s: float) -> Finding:
    values, exponent = formulation.scaled_values()
    with silence():
        result = optimize.milp(
            -values,
            integrality=np.ones(formulation.num_columns),
            bounds=optimize.Bounds(0, 1),
            constraints=optimize.LinearConstraint(*constraint_rows(formulation)),
            options={"mip_rel_gap": 0.0, "time_limit": time_limit_s},
        )
    bound = result.mip_dual_bound
    has_bound = bound is not None and math.isfinite(bound)
    return Finding(
        x=result.x,
        proved=result.status == 0,
        bound_s=formulation.safe_bound_s(-bound, exponent) if has_bound else math.inf,
    )
