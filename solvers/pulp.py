"""PuLP: the CBC that comes with it, and HiGHS through highspy."""

from __future__ import annotations

import math
import tempfile
import warnings
from functools import partial
from typing import Any, Literal

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.errors import InputError
from solvers.program.answer import Finding, answer
from solvers.program.duals import LinearOptimum
from solvers.program.formulation import Formulation
from solvers.program.packages import package
from solvers.program.scaled_rows import scale_rows
from solvers.program.silence import silence
from solvers.program.tolerances import CUTOFF, CUTOFF_OF_CBC, missed_s, safe_bound_s
from solvers.solution import Solution

Backend = Literal["cbc", "highs"]
BACKENDS = ("cbc", "highs")


def solve(problem: BatchProblem, time_limit_s: float | None = None, backend: Backend = "cbc") -> Solution:
    """Solve with CBC or HiGHS through PuLP.

    How exact OPTIMAL is: the relative and the absolute gap are 0. Both backends work in floats. CBC reads the values
    from a file with 13 digits and asks each incumbent to be 1e-5 better than the last, at most 2e-10 of the largest
    value (`Formulation.scaled_values`); it reports no bound, so at a time-out the certificate is all there is. What
    they prove counts where their tolerances can hide no more than 2**-33 of the values (`solvers.program.tolerances`).

    Raises
    ------
    InputError
        For a time limit that is not above 0, an unknown backend, or if PuLP, highspy or SciPy is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend: {backend!r} is not accepted; one of {', '.join(BACKENDS)} is")
    if backend == "highs":
        package("highspy")
    return answer(partial(_run, package("pulp"), backend), problem, time_limit_s)


def _run(pulp: Any, backend: str, formulation: Formulation, relaxation: LinearOptimum, time_limit_s: float) -> Finding:
    values, _ = formulation.scaled_values()
    with silence(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", DeprecationWarning)  # PuLP 3.3 warns of changes in version 4
        model, columns = _model(pulp, formulation, values.tolist())
        solver = _solver(pulp, backend, time_limit_s)
        solver.tmpDir = folder  # CBC's files are removed with it, even after Ctrl-C
        model.solve(solver)
    found = model.sol_status in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible)
    bound = -model.solverModel.getInfo().mip_dual_bound if backend == "highs" else math.inf
    return Finding(
        x=np.array([column.varValue for column in columns], np.float64) if found else None,
        proved=model.sol_status == pulp.LpSolutionOptimal,
        bound_s=safe_bound_s(formulation, bound),
        missed_s=missed_s(formulation, CUTOFF_OF_CBC if backend == "cbc" else CUTOFF),
    )


def _solver(pulp: Any, backend: str, time_limit_s: float) -> Any:
    gaps = {"gapRel": 0.0, "gapAbs": 0.0}
    if backend == "cbc":
        return pulp.PULP_CBC_CMD(msg=False, timeLimit=time_limit_s, **gaps)
    return pulp.HiGHS(msg=False, timeLimit=time_limit_s, **gaps)


def _model(pulp: Any, formulation: Formulation, values: list[float]) -> tuple[Any, list[Any]]:
    model = pulp.LpProblem("batch", pulp.LpMaximize)
    columns = [pulp.LpVariable(f"x{column}", cat=pulp.LpBinary) for column in range(formulation.num_columns)]
    model += pulp.LpAffineExpression(zip(columns, values, strict=True))
    limited = scale_rows(formulation)
    carries = [pulp.LpVariable(f"q{at}", 0, most, pulp.LpInteger) for at, most in enumerate(limited.most.tolist())]
    for use, limit in zip(limited.use.tolist(), limited.limits.tolist(), strict=True):
        model += pulp.LpAffineExpression(zip([*columns, *carries], use, strict=True)) <= limit
    for members, equation in formulation.groups():
        served = pulp.LpAffineExpression([(columns[member], 1) for member in members])
        model += served == 1 if equation else served <= 1
    return model, columns
