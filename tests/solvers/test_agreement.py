"""The exact methods, the core among them, against one another on batches as servers have them."""

from __future__ import annotations

import dataclasses

import pytest

from aptsched import BatchProblem
from aptsched.knapsack.greedy import greedy
from brute_force import check_selection
from references import EXACT, serving_like
from solvers import core, lp
from solvers.solution import Solution, Status

METHODS = {"core": core.solve, **EXACT}


def both_binding(n: int, seed: int) -> BatchProblem:
    """A token budget and a sequence limit at 70% of what the answer without them uses."""
    problem = serving_like(n, seed, share=0.5)
    num_tokens = 16 * problem.weights[:, 0] - seed % 16
    free = greedy(dataclasses.replace(problem, num_tokens=num_tokens))
    max_tokens, max_seqs = int(0.7 * free.num_tokens), int(0.7 * free.num_seqs)
    return dataclasses.replace(problem, num_tokens=num_tokens, max_tokens=max_tokens, max_seqs=max_seqs)


def solve_all(problem: BatchProblem, time_limit_s: float) -> list[Solution]:
    """The answers of all, each feasible and within its own certificate."""
    solutions = [solve(problem, time_limit_s) for solve in METHODS.values()]
    for solution in solutions:
        assert solution.selection is not None
        check_selection(problem, solution.selection)
    return solutions


def assert_all_prove_the_same(problem: BatchProblem) -> None:
    """All say OPTIMAL within 60 s, and their objectives agree to 1e-9."""
    solutions = solve_all(problem, 60.0)
    assert [solution.status for solution in solutions] == [Status.OPTIMAL] * len(METHODS)
    objectives = [solution.objective_s for solution in solutions]
    assert max(objectives) - min(objectives) <= 1e-9 * max(objectives)
    assert lp.solve(problem).bound_s >= max(objectives)


@pytest.mark.parametrize(("seed", "share", "penalty"), [(0, 0.25, 0.4), (1, 0.5, 0.1), (2, 0.1, 0.02)])
def test_memory_alone(seed: int, share: float, penalty: float) -> None:
    """With memory alone and n = 400 all prove the same optimum."""
    assert_all_prove_the_same(serving_like(400, seed, share, penalty))


@pytest.mark.slow
@pytest.mark.parametrize("n", [800, 1600])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_memory_alone_up_to_1600(n: int, share: float, seed: int) -> None:
    """With memory alone and n up to 1600 all prove the same optimum within 60 s."""
    assert_all_prove_the_same(serving_like(n, seed, share))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [20, 60])
def test_side_constraints(n: int, seed: int) -> None:
    """Where both side constraints bind and n is up to 60, all prove the same optimum."""
    assert_all_prove_the_same(both_binding(n, seed))


@pytest.mark.parametrize("n", [200, pytest.param(1600, marks=pytest.mark.slow)])
def test_intervals_overlap(n: int) -> None:
    """Beyond that every pair of intervals [objective, bound] overlaps, whatever was proved."""
    solutions = solve_all(both_binding(n, seed=5), time_limit_s=3.0)
    assert max(solution.objective_s for solution in solutions) <= min(solution.bound_s for solution in solutions)
