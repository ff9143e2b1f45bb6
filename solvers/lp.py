"""The linear relaxation as a method: a bound, and its solution rounded down."""

from __future__ import annotations

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Multipliers
from solvers.program.answer import Finding, answer
from solvers.program.duals import LinearOptimum, solve_linear
from solvers.program.formulation import Formulation, formulate
from solvers.solution import Solution


def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
    """Solve the linear relaxation and round it down.

    The bound is the certificate of the duals: the optimum of the relaxation, up to rounding. OPTIMAL only where no
    shared limit can bind, so that every request has its best form, or where the certificate rules out every other
    selection; else FEASIBLE. The relaxation is polynomial: the time limit does not cut it short.

    Raises
    ------
    InputError
        For a time limit that is not above 0, or if SciPy is not installed.
    """
    return answer(_run, problem, time_limit_s, from_greedy=False)


def multipliers(problem: BatchProblem) -> Multipliers:
    """The duals of the shared limits in the linear relaxation, in seconds; the required requests have to fit."""
    return solve_linear(formulate(problem)).multipliers


def _run(formulation: Formulation, relaxation: LinearOptimum, time_limit_s: float) -> Finding:
    return Finding(relaxation.chosen.astype(float), proved=False)
