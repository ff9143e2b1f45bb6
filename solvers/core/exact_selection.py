"""The exact optimum as a policy asks for it: a selection, within about the time that an iteration has for it."""

from __future__ import annotations

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from solvers.core.exact import solve

MAX_WORK = 30_000  # some milliseconds


def exact_selection(problem: BatchProblem) -> Selection:
    """The best selection, or at a count of work that keeps it within an iteration the best that was found.

    It is what the option `select` of policies takes, in place of `greedy`.

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
