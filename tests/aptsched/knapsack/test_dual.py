"""The minimum of the Lagrangian dual, held against the optimum of the linear programme in fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.knapsack.dual import Dual, inverse, minimum, priced
from aptsched.knapsack.options import Options
from aptsched.knapsack.residual import Residual, reduce
from references import BY_HAND
from residuals import bound, fits, lp_optimum, reduced_costs, residuals, worth
from strategies import singular_problems

CLOSE = Fraction(1, 10**9)  # of the gains in all: what floats may miss


def limited(residual: Residual) -> Options:
    """Its options, with the limits that it has."""
    return Options.of(residual, np.flatnonzero(np.isfinite(residual.limits)))


def all_gains(residual: Residual) -> Fraction:
    return sum((max(reduced_costs(residual, (0.0, 0.0, 0.0), i)) for i in range(residual.num_requests)), Fraction(0))


def check_minimum(residual: Residual, start: list[float] | None = None) -> None:
    """All that is said of the answer."""
    options = limited(residual)
    option, multipliers, fractional = minimum(options, None if start is None else np.array(start))
    price, allowed = priced(options, multipliers), CLOSE * all_gains(residual)
    optimum = lp_optimum(residual)
    assert min(price) >= 0
    assert optimum <= bound(residual, price) <= optimum + allowed
    assert fits(residual, option.tolist())
    assert len(fractional) <= len(options.limits)
    for i in range(residual.num_requests):
        reduced = reduced_costs(residual, price, i)
        assert i in fractional or reduced[option[i]] >= max(reduced) - allowed
    most = sum((max(reduced_costs(residual, (0.0, 0.0, 0.0), i)) for i in set(fractional)), Fraction(0))
    assert worth(residual, option.tolist()) + most >= optimum - allowed


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_the_minimum_is_the_optimum_of_the_linear_programme(residual: Residual) -> None:
    """Proved by the multipliers; only requests that are said to be fractional have less than their best option."""
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


@settings(max_examples=200)
@given(residuals(extreme=False), st.lists(st.integers(0, 40).map(lambda v: v / 8), min_size=3, max_size=3))
def test_the_minimum_is_the_same_from_anywhere(residual: Residual, start: list[float]) -> None:
    """The walk may begin at any multipliers, too low or too high."""
    check_minimum(residual, start[: len(limited(residual).limits)])


def test_four_requests_by_hand() -> None:
    """Seven blocks hold all as hidden states, the last at 2 s a block; one more is worth 0.75 s, KV of request 1."""
    options = limited(reduce(BY_HAND))
    option, (price,), _ = minimum(options)
    assert option.tolist() == [2, 2, 2, 2]
    assert options.gain[option, range(4)].sum() == 18.75
    assert 0.75 <= price <= 2.0


def test_multipliers_have_the_places_of_their_resources() -> None:
    """Of tokens and blocks, or sequences alone; others are free."""
    residual = reduce(singular_problems()[0])
    assert priced(Options.of(residual, np.array([0, 2])), [1.5, 2.5]) == (1.5, 0.0, 2.5)
    assert priced(Options.of(residual, np.array([1])), [3.0]) == (0.0, 3.0, 0.0)


@settings(max_examples=200)
@given(
    st.integers(1, 3).flatmap(
        lambda size: st.lists(st.lists(st.integers(-6, 6), min_size=size, max_size=size), min_size=size, max_size=size)
    )
)
def test_the_inverse_is_exact_but_for_one_rounding(rows: list[list[int]]) -> None:
    """Its columns times the rows are those of the unit matrix."""
    matrix = [[*map(float, row)] for row in rows]
    assume(round(np.linalg.det(matrix)))
    columns = inverse(matrix)
    for c, column in enumerate(columns):
        for r, row in enumerate(rows):
            product = sum(map(Fraction.__mul__, map(Fraction, row), map(Fraction, column)), Fraction(0))
            assert abs(product - (r == c)) <= Fraction(1, 2**48)


def test_rows_that_depend_on_each_other_have_no_inverse() -> None:
    """As where two ties are the same."""
    with pytest.raises(ZeroDivisionError):
        inverse([[1.0, 2.0], [2.0, 4.0]])


def test_each_step_of_the_walk_lowers_the_bound() -> None:
    """Or leaves it, where ties meet; it ends at the optimum."""
    for problem in singular_problems():
        residual = reduce(problem)
        dual = Dual(limited(residual))
        vertex = dual.start([0.0] * len(dual.limits))
        bounds = [bound(residual, priced(dual.options, vertex.price))]
        while dual.step(vertex):
            bounds.append(bound(residual, priced(dual.options, vertex.price)))
        assert len(bounds) > 1
        assert all(later <= before + CLOSE * before for before, later in pairwise(bounds))
        assert bounds[-1] == pytest.approx(float(lp_optimum(residual)), rel=1e-12)
