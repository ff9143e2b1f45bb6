"""Methods by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aptsched import BatchProblem, InputError
from solvers.methods import ALIASES, METHODS, find_method
from solvers.solution import Status

PROBLEM = BatchProblem.hybrid([4.0, 3.0, 2.0], [4, 4, 2], 6, 0.25)  # by hand: hidden, hidden, KV are worth 7


@pytest.mark.parametrize("name", [*METHODS, *ALIASES])
def test_every_method_answers(name: str) -> None:
    """The optimum is 7; what is called exact proves it."""
    method = find_method(name)
    solution = method.solve(PROBLEM, 10.0)
    assert solution.selection is not None
    assert solution.objective_s <= 7 <= solution.bound_s or solution.selection.num_blocks > PROBLEM.capacity
    if method.guarantee(PROBLEM) == "exact":
        assert (solution.status, solution.objective_s) == (Status.OPTIMAL, 7.0)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "algorithm1"])
def test_every_method_says_infeasible_with_the_overload(name: str) -> None:
    """Two required requests of 3 blocks each, lightest, against 4."""
    problem = BatchProblem([[1.0, 0.5], [1.0, 0.5]], [[6, 3], [5, 3]], 4, required=[True, True])
    solution = find_method(name).solve(problem, 10.0)
    assert solution.status is Status.INFEASIBLE and solution.selection is None
    assert solution.overload is not None and solution.overload.num_blocks == 2


def test_an_unknown_method_is_refused_with_those_there_are() -> None:
    """Aliases too."""
    with pytest.raises(InputError, match=r"method: 'cplex' is not known; greedy, .*, pulp are"):
        find_method("cplex")


def test_the_guarantee_counts_the_limits() -> None:
    """One more than the number of shared limits."""
    limited = BatchProblem([[1.0]], [[1]], 1, num_tokens=[1], max_tokens=3, max_seqs=2)
    assert [find_method("greedy").guarantee(problem) for problem in (PROBLEM, limited)] == ["1/2", "1/4"]


def test_no_solver_is_imported_before_it_is_used() -> None:
    """Neither by the list of methods nor by the greedy; numba imports scipy itself, but nothing that solves."""
    code = (
        "import sys; from aptsched import BatchProblem; from solvers.methods import find_method; "
        "find_method('greedy').solve(BatchProblem([[1.0]], [[1]], 1)); "
        "print([m for m in ('ortools', 'highspy', 'pulp', 'scipy.optimize', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
