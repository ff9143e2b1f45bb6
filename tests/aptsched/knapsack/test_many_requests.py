"""Where many requests wait, few are looked at closely: the greedy's bound and invariances hold all the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aptsched import BatchProblem, greedy
from references import serving_like, with_side_constraints
from solvers import lp


def check_bound(problem: BatchProblem) -> None:
    """The certificate against HiGHS."""
    selection = greedy(problem)
    expected = lp.solve(problem).bound_s
    assert selection.bound_s == pytest.approx(expected, rel=1e-7)
    assert selection.objective_s <= selection.bound_s


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [60, 150, 400])
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_both_side_constraints(n: int, seed: int, share: float) -> None:
    """With memory short and with memory to spare."""
    check_bound(with_side_constraints(serving_like(n, seed, share), seed))


@pytest.mark.parametrize("seed", range(8))
def test_ties(seed: int) -> None:
    """Small whole numbers, so that hundreds of requests are alike."""
    rng = np.random.default_rng(seed)
    n, k = 300, seed % 3 + 1
    weights, tokens = rng.integers(1, 6, (n, k)), rng.integers(0, 4, n)
    values = rng.integers(1, 6, (n, k)).astype(float)
    check_bound(BatchProblem(values, weights, int(weights.sum()), tokens, max_tokens=n // 3, max_seqs=n // 5))


@pytest.mark.parametrize("seed", range(4))
def test_required_requests(seed: int) -> None:
    """Some requests run already, and what they still gain by a better form takes neither tokens nor a sequence."""
    problem = with_side_constraints(serving_like(300, seed, 0.7), seed)
    required = np.random.default_rng(seed).random(300) < 0.1
    check_bound(dataclasses.replace(problem, required=required))


@pytest.mark.parametrize("seed", range(4))
def test_memory_alone(seed: int) -> None:
    """More increments than are sorted."""
    check_bound(serving_like(600, seed, 0.1 + 0.2 * seed))


@pytest.mark.parametrize("seed", range(6))
def test_order_and_units(seed: int) -> None:
    """The objective is the same in another order, and scales with values and weights, with many ties too."""
    rng = np.random.default_rng(seed)
    problem = with_side_constraints(serving_like(300, seed, 0.7), seed)
    if seed % 2:
        problem = dataclasses.replace(problem, values=np.ceil(problem.values / 9), num_tokens=rng.integers(1, 4, 300))
        problem = dataclasses.replace(problem, max_tokens=150)
    expected = greedy(problem).objective_s
    order = rng.permutation(300)
    permuted = {name: getattr(problem, name)[order] for name in ("values", "weights", "num_tokens")}
    assert greedy(dataclasses.replace(problem, **permuted)).objective_s == expected
    assert greedy(dataclasses.replace(problem, values=problem.values / 512)).objective_s == expected / 512
    scaled = dataclasses.replace(problem, weights=problem.weights * 7, capacity=problem.capacity * 7)
    assert greedy(scaled).objective_s == expected
