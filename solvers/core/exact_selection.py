"""The exact optimum for a policy: a selection, in about the time that an iteration can spend on it."""

from __future__ import annotations

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from solvers.core.exact import solve

MAX_WORK = 30_000  # some milliseconds


def exact_selection(problem: BatchProblem) -> Selection:
    """The best selection, or the best that is found with a count of work that an iteration can afford.

    It can be given to policies as their option `select`, in place of `greedy`.

    Raises
    ------
    InfeasibleError
        The required requests do not fit.
    """
    solution = solve(problem, max_work=MAX_WORK)
    if solution.selection is None:
        assert solution.overload is not None
        raise solution.overload
    return solution.selection
