"""The relaxation under several limits, held against the optimum of the linear programme in fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings

from aptsched import BatchProblem
from aptsched.knapsack.relaxation import knapsack
from aptsched.knapsack.residual import Residual, reduce
from aptsched.knapsack.walk import walk
from references import serving_like, with_side_constraints
from residuals import bound, fits, lp_optimum, reduced_costs, residuals, worth
from strategies import singular_problems

CLOSE = Fraction(1, 10**9)  # of the optimum: what floats may miss


def check_walk(residual: Residual) -> None:
    """Feasible; the multipliers prove the optimum; at most D requests have less than their best option at them."""
    option, price = walk(residual)
    optimum, d = lp_optimum(residual), int(np.isfinite(residual.limits).sum())
    assert fits(residual, option.tolist())
    assert optimum <= bound(residual, price) <= optimum * (1 + CLOSE)
    assert all(p == 0 for p, limit in zip(price, residual.limits, strict=True) if limit == np.inf)
    costs = [reduced_costs(residual, price, i) for i in range(residual.num_requests)]
    assert sum(reduced[f] < max(reduced) - optimum * CLOSE for reduced, f in zip(costs, option, strict=True)) <= d
    best = max((Fraction(gain) for gain in residual.gain.ravel().tolist()), default=Fraction(0))
    assert worth(residual, option.tolist()) + d * best >= optimum * (1 - CLOSE)


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_any_small_residual(residual: Residual) -> None:
    """One to three forms, none to three limits."""
    check_walk(residual)


@pytest.mark.parametrize("index", range(len(singular_problems())))
def test_three_limits_that_depend_on_each_other(index: int) -> None:
    """Where equal entries make bases singular."""
    check_walk(reduce(singular_problems()[index]))


@settings(max_examples=100)
@given(residuals(side_constraints=False, extreme=False))
def test_one_limit_is_what_the_split_finds(residual: Residual) -> None:
    """With memory alone both prove the same bound."""
    assume(np.isfinite(residual.limits[0]))
    _, price = walk(residual)
    expected = bound(residual, knapsack(residual).price)
    assert abs(bound(residual, price) - expected) <= expected * CLOSE


def test_three_requests_by_hand() -> None:
    """Two blocks and 4 tokens: 4 s in 1 block and 2 tokens, 3 s in 1 and 3, 1 s in 1 and 1.

    The first is served, and of the others x and y with x + y = 1 and 3 x + y = 2: a half of each, 2 s. At 1 s a token
    and none a block the second is worth nothing, and so is the third.
    """
    residual = reduce(BatchProblem([[4.0], [3.0], [1.0]], [[1], [1], [1]], 2, [2, 3, 1], max_tokens=4))
    option, (per_block, per_token, per_seq) = walk(residual)
    assert option.tolist() == [1, 0, 0]
    assert per_block + 3 * per_token == pytest.approx(3.0) and per_block + per_token == pytest.approx(1.0)
    assert per_seq == 0 and bound(residual, (per_block, per_token, per_seq)) == 6


@pytest.mark.parametrize("seed", range(3))
def test_hundreds_of_requests_under_all_limits(seed: int) -> None:
    """No multiplier can be moved a little so that the bound falls: it is convex, and so this is the minimum."""
    residual = reduce(with_side_constraints(serving_like(400, seed), seed))
    option, price = walk(residual)
    least = bound(residual, price)
    assert fits(residual, option.tolist())
    for resource in range(3):
        for factor in (1 - 1e-3, 1 + 1e-3):
            moved = [p * factor if r == resource else p for r, p in enumerate(price)]
            assert bound(residual, moved) >= least * (1 - CLOSE)
    assert worth(residual, option.tolist()) >= least * Fraction(95, 100)
