"""The optimum in whole numbers, held against enumeration in fractions where floats cannot tell selections apart."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem, greedy
from aptsched.knapsack.greedy import rounded
from aptsched.knapsack.residual import Residual
from aptsched.support.checks import Ints
from brute_force import enumerate_all, exact_objective
from solvers.core.exact import MOST, PER_SECOND, Budget, best_exactly, exact_gains
from strategies import problems

# Sums of these differ by less than a float of their size can say.
HARD = [1.0, 1.0 + 2**-52, 1.0 + 2**-51, 2.0**-53, 2.0**-60, 3.0, 2.0**53, 2.0**53 + 2, 5e-324]


@st.composite
def hard_problems(draw: st.DrawFn) -> BatchProblem:
    """One to three forms whose values need more bits than a float has, one or two limits, and some who must stay."""
    k, n = draw(st.integers(1, 3)), draw(st.integers(2, 6))
    values = draw(st.lists(st.lists(st.sampled_from(HARD), min_size=k, max_size=k), min_size=n, max_size=n))
    weights = draw(st.lists(st.lists(st.integers(1, 4), min_size=k, max_size=k), min_size=n, max_size=n))
    if k > 1 and draw(st.booleans()):
        weights = [[99, *row[1:]] for row in weights]  # a first form that fits nobody
    required = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    max_seqs = draw(st.none() | st.integers(1, n))
    return BatchProblem(values, weights, draw(st.integers(1, 3 * n)), max_seqs=max_seqs, required=required)


def solve(problem: BatchProblem, budget: Budget | None = None) -> tuple[Residual, Ints, bool]:
    """From the greedy's answer, at the multipliers of the LP."""
    residual, relaxation, incumbent = rounded(problem, fill=True)
    return residual, *best_exactly(problem, residual, relaxation.price, incumbent, budget or Budget(math.inf, MOST))


@settings(max_examples=150)
@given(hard_problems())
def test_the_optimum_is_exact(problem: BatchProblem) -> None:
    """To the last bit of a subnormal second."""
    best = enumerate_all(problem)
    assume(best.optimum is not None)
    residual, option, found = solve(problem)
    assert found
    assert exact_objective(problem, residual.forms(option)) == best.optimum


@settings(max_examples=200)
@given(problems())
def test_so_it_is_of_any_small_problem(problem: BatchProblem) -> None:
    """With required requests and all limits."""
    best = enumerate_all(problem)
    assume(best.optimum is not None)
    residual, option, found = solve(problem)
    assert found
    assert exact_objective(problem, residual.forms(option)) == best.optimum


def test_two_sums_that_are_equal_as_floats() -> None:
    """2**53 + 1 is no float: of the pair the one with a second more is the better, whichever comes first."""
    for small in ([1.0, 2.0**-60], [2.0**-60, 1.0]):
        problem = BatchProblem([[2.0**53], [small[0]], [small[1]]], [[1]] * 3, 2)
        residual, option, _ = solve(problem)
        served = np.flatnonzero(residual.forms(option))
        assert {float(problem.values[i, 0]) for i in served} == {2.0**53, 1.0}


def test_what_is_above_the_form_that_a_required_request_has_anyway() -> None:
    """A block is left: for 2**53 + 1 s more of the second request, which is no float, or 2**53 s of the third.

    The first would have 2**53 - 1 s more, from 5 s on, though it has the largest value.
    """
    values, weights = [[2.0**53 + 4, 5.0], [2.0**53 + 2, 1.0], [2.0**54, 2.0**53]], [[2, 1], [2, 1], [99, 1]]
    residual, option, _ = solve(BatchProblem(values, weights, 3, required=[True, True, False]))
    assert residual.forms(option).tolist() == [2, 1, 0]


@given(problems())
def test_gains_are_counted_in_the_smallest_seconds(problem: BatchProblem) -> None:
    """Exactly: what each option that is offered is worth more than its request's base, and 0 of the others."""
    assume(enumerate_all(problem).optimum is not None)
    residual = rounded(problem, fill=True)[0]
    bases = residual.forms(np.zeros(problem.num_requests, np.int64))
    rows = range(problem.num_requests) if residual.order is None else residual.order.tolist()
    for f, gains in enumerate(exact_gains(problem, residual)):
        for at, (i, gain) in enumerate(zip(rows, gains, strict=True)):
            base = Fraction(problem.values[i, bases[i] - 1].item()) if bases[i] else 0
            more = Fraction(problem.values[i, f].item()) - base
            assert Fraction(gain, PER_SECOND) == (more if residual.gain[f, at] > 0 else 0)


@pytest.mark.parametrize("max_work", [0])
def test_a_budget_that_is_spent_keeps_the_incumbent(max_work: int) -> None:
    """And says that the optimum was not found."""
    budget = Budget(math.inf, max_work - 1)
    problem = BatchProblem([[3.0], [2.0 + 2**-51], [2.0]], [[3], [2], [2]], 6)
    residual, option, found = solve(problem, budget)
    assert not found
    assert exact_objective(problem, residual.forms(option)) == exact_objective(problem, greedy(problem).form)
