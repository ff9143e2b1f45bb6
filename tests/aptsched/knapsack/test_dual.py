"""The relaxation under several limits, held against the optimum of the linear programme in fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.knapsack.dual import Walk, inverse, minimum
from aptsched.knapsack.relaxation import knapsack
from aptsched.knapsack.residual import Residual, reduce
from references import BY_HAND, serving_like, with_side_constraints
from residuals import bound, fits, lp_optimum, reduced_costs, residuals, worth
from strategies import singular_problems

CLOSE = Fraction(1, 10**9)  # of the optimum: what floats may miss


def check_minimum(residual: Residual) -> None:
    """Feasible; the multipliers prove the optimum; at most D requests have less than their best option at them."""
    option, price = minimum(residual)
    optimum, d = lp_optimum(residual), int(np.isfinite(residual.limits).sum())
    assert min(price) >= 0 and fits(residual, option.tolist())
    assert optimum <= bound(residual, price) <= optimum * (1 + CLOSE)
    assert all(p == 0 for p, limit in zip(price, residual.limits, strict=True) if limit == np.inf)
    costs = [reduced_costs(residual, price, i) for i in range(len(option))]
    assert sum(reduced[f] < max(reduced) - optimum * CLOSE for reduced, f in zip(costs, option, strict=True)) <= d
    best = max((Fraction(gain) for gain in residual.gain.ravel().tolist()), default=Fraction(0))
    assert worth(residual, option.tolist()) + d * best >= optimum * (1 - CLOSE)


@settings(max_examples=300)
@given(residuals(extreme=False))
def test_the_minimum_is_the_optimum_of_the_linear_programme(residual: Residual) -> None:
    """Of one to three forms under none to three limits."""
    check_minimum(residual)


@pytest.mark.parametrize("seed", range(60))
def test_three_forms_under_three_limits(seed: int) -> None:
    """Where a request is tied between two forms, the walk meets its third before it goes on."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 9))
    values, weights = (np.sort(rng.integers(1, most, (n, 3)))[:, ::-1] for most in (30, 9))
    tokens, capacity = rng.integers(1, 9, n), int(weights[:, 0].sum() * rng.uniform(0.2, 0.7))
    max_tokens, max_seqs = int(tokens.sum() * rng.uniform(0.3, 0.8)), max(1, int(n * rng.uniform(0.3, 0.9)))
    check_minimum(reduce(BatchProblem(values, weights, capacity, tokens, max_tokens, max_seqs)))


@pytest.mark.parametrize("index", range(len(singular_problems())))
def test_where_bases_are_singular(index: int) -> None:
    """Limits that depend on each other do not keep the walk from its end."""
    check_minimum(reduce(singular_problems()[index]))


@settings(max_examples=100)
@given(residuals(side_constraints=False, extreme=False))
def test_one_limit_is_what_the_split_finds(residual: Residual) -> None:
    """With memory alone both prove the same bound."""
    assume(np.isfinite(residual.limits[0]))
    _, price = minimum(residual)
    expected = bound(residual, knapsack(residual).price)
    assert abs(bound(residual, price) - expected) <= expected * CLOSE


def test_four_requests_by_hand() -> None:
    """Seven blocks hold all as hidden states, the last at 2 s a block; one more is worth 0.75 s, KV of request 1."""
    option, price = minimum(reduce(BY_HAND))
    assert option.tolist() == [2, 2, 2, 2]
    assert 0.75 <= price[0] <= 2.0 and price[1:] == (0.0, 0.0)


def test_three_requests_by_hand() -> None:
    """Two blocks and 4 tokens: 4 s in 1 block and 2 tokens, 3 s in 1 and 3, 1 s in 1 and 1.

    The first is served, and of the others x and y with x + y = 1 and 3 x + y = 2: a half of each, 2 s. At 1 s a token
    and none a block the second is worth nothing, and so is the third.
    """
    residual = reduce(BatchProblem([[4.0], [3.0], [1.0]], [[1], [1], [1]], 2, [2, 3, 1], max_tokens=4))
    option, (per_block, per_token, per_seq) = minimum(residual)
    assert option.tolist() == [1, 0, 0]
    assert per_block + 3 * per_token == pytest.approx(3.0) and per_block + per_token == pytest.approx(1.0)
    assert per_seq == 0 and bound(residual, (per_block, per_token, per_seq)) == 6


@pytest.mark.parametrize("seed", range(3))
def test_hundreds_of_requests_under_all_limits(seed: int) -> None:
    """No multiplier can be moved a little so that the bound falls: it is convex, and so this is the minimum."""
    residual = reduce(with_side_constraints(serving_like(400, seed), seed))
    option, price = minimum(residual)
    least = bound(residual, price)
    assert fits(residual, option.tolist())
    for resource in range(3):
        for factor in (1 - 1e-3, 1 + 1e-3):
            moved = [p * factor if r == resource else p for r, p in enumerate(price)]
            assert bound(residual, moved) >= least * (1 - CLOSE)
    assert worth(residual, option.tolist()) >= least * Fraction(95, 100)


def test_each_step_of_the_walk_lowers_the_bound() -> None:
    """Or leaves it, where ties meet; it ends at the optimum."""
    for problem in singular_problems():
        residual = reduce(problem)
        walk = Walk(residual, np.ones(problem.num_requests))
        bounds = [bound(residual, walk.price)]
        while walk.step():
            if min(walk.price) >= 0:
                bounds.append(bound(residual, walk.price))
        assert len(bounds) > 1
        assert all(later <= before + CLOSE * before for before, later in pairwise(bounds))
        assert bounds[-1] == pytest.approx(float(lp_optimum(residual)), rel=1e-12)


@settings(max_examples=200)
@given(st.lists(st.lists(st.integers(-6, 6), min_size=3, max_size=3), min_size=3, max_size=3))
def test_the_inverse_is_exact_but_for_one_rounding(rows: list[list[int]]) -> None:
    """Its columns times the rows are those of the unit matrix."""
    assume(round(np.linalg.det(rows)))
    for c, column in enumerate(inverse(rows)):
        for r, row in enumerate(rows):
            product = sum(map(Fraction.__mul__, map(Fraction, row), map(Fraction, column)), Fraction(0))
            assert abs(product - (r == c)) <= Fraction(1, 2**48)


def test_rows_that_depend_on_each_other_have_no_inverse() -> None:
    """As where two ties are the same."""
    with pytest.raises(ZeroDivisionError):
        inverse([[1, 2, 0], [2, 4, 0], [0, 0, 1]])
