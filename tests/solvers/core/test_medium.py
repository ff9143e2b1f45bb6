"""Instances beyond enumeration, against a textbook dynamic programme on integer values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from aptsched import BatchProblem
from brute_force import check_selection
from solvers import core
from solvers.solution import Status


def optimum(problem: BatchProblem) -> int:
    """The optimum of integer values, by the value of every (sequences, tokens, blocks) at most; nobody is required."""
    n = problem.num_requests
    max_seqs = 1 if problem.max_seqs is None else min(problem.max_seqs, n)
    max_tokens = 0 if problem.max_tokens is None else problem.max_tokens
    table: npt.NDArray[np.int64] = np.zeros((max_seqs + 1, max_tokens + 1, problem.capacity + 1), np.int64)
    for i in range(n):
        new = table.copy()
        one = 0 if problem.max_seqs is None else 1
        t = 0 if problem.num_tokens is None or problem.max_tokens is None else int(problem.num_tokens[i])
        for f in range(problem.num_forms):
            w, v = int(problem.weights[i, f]), int(problem.values[i, f])
            if w <= problem.capacity and t <= max_tokens:
                before = table[: max_seqs + 1 - one, : max_tokens + 1 - t, : problem.capacity + 1 - w]
                np.maximum(new[one:, t:, w:], before + v, out=new[one:, t:, w:])
        table = new
    return int(table[-1, -1, -1])


def medium_problem(rng: np.random.Generator, n: int, correlated: bool) -> BatchProblem:
    """Definition 1 with a quantised form, in integer seconds; `correlated` is value = weight + constant."""
    blocks = rng.integers(1, 40, n)
    pending = blocks + 10 if correlated else rng.integers(1, 1000, n)
    values = np.stack([pending, pending - 2 * blocks, pending - 5 * blocks], axis=1)
    weights = np.stack([blocks, -(-blocks // 2), -(-blocks // 4)], axis=1)
    return BatchProblem(values=values, weights=weights, capacity=int(blocks.sum() * rng.uniform(0.1, 0.5)))


@pytest.mark.parametrize("correlated", [False, True], ids=["serving", "correlated"])
@pytest.mark.parametrize("seed", range(10))
def test_memory_alone(seed: int, correlated: bool) -> None:
    """100 requests under the memory constraint alone are proved optimal."""
    problem = medium_problem(np.random.default_rng(seed), 100, correlated)
    solution = core.solve(problem)
    assert solution.selection is not None and solution.status is Status.OPTIMAL
    assert check_selection(problem, solution.selection) == optimum(problem)


@pytest.mark.parametrize("seed", range(6))
def test_binding_side_constraints(seed: int) -> None:
    """30 requests under all three constraints, with a limit of work: right where proved, bounded where not."""
    rng = np.random.default_rng(seed)
    problem = medium_problem(rng, 30, correlated=False)
    tokens = rng.integers(1, 5, 30)
    problem = BatchProblem(problem.values, problem.weights, problem.capacity, tokens, int(tokens.sum() // 3), 12)
    solution = core.solve(problem, max_work=10**7)
    assert solution.selection is not None
    objective, best = check_selection(problem, solution.selection), optimum(problem)
    assert objective <= best <= solution.bound_s
    assert objective == best or solution.status is Status.FEASIBLE
