"""The residual: what is left to decide beside the required requests is the problem itself, held against enumeration."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem, InfeasibleError
from aptsched.knapsack.residual import above, canonical_order, common_unit, reduce, unit_of
from brute_force import base_value, enumerate_all, exact_objective
from residuals import selections, worth
from strategies import problems
from variants import permuted, scaled_weights

# 8 blocks. Request 0 must stay: 5 s in 4 blocks, 4 s in 2, its base. Of the others the second has no form that fits.
CROWDED = BatchProblem([[5.0, 4.0], [9.0, 9.0], [3.0, 2.0]], [[4, 2], [9, 8], [6, 4]], 8, required=[True, False, False])


def test_three_requests_by_hand() -> None:
    """Six blocks are left in units of 2: a second for one more of request 0, and 3 s or 2 s for 3 or 2 of request 2."""
    residual = reduce(CROWDED, ordered=True)
    assert residual.unit == 2 and residual.limits[0] == 3.0
    assert np.maximum(residual.gain, 0.0).tolist() == [[0.0, 1.0, 3.0], [0.0, 0.0, 2.0]]
    assert residual.blocks[residual.gain > 0].tolist() == [1, 3, 2]
    assert residual.seqs.tolist() == [1, 0, 1]
    assert residual.forms(np.array([0, 1, 2])).tolist() == [1, 0, 2]
    assert residual.forms(np.array([0, 0, 0])).tolist() == [2, 0, 0]


@settings(max_examples=200)
@given(problems(extreme=False))
def test_its_best_selection_is_the_best_of_the_problem(problem: BatchProblem) -> None:
    """Above what the required requests bring; and its selections, put back, are worth what they are worth here."""
    expected = enumerate_all(problem)
    if expected.optimum is None:
        with pytest.raises(InfeasibleError) as caught:
            reduce(problem)
        assert (caught.value.num_blocks, caught.value.num_tokens, caught.value.num_seqs) == expected.overload
        return
    residual = reduce(problem)
    base, unit = base_value(problem), Fraction(residual.unit_s)
    rounding = Fraction(float(np.abs(problem.values).sum())) / 2**45
    best = max(selections(residual), key=lambda option: worth(residual, option))
    assert abs(base + worth(residual, best) * unit - expected.optimum) <= rounding
    for option in (best, (0,) * problem.num_requests):
        form = residual.forms(np.array(option))
        assert abs(base + worth(residual, option) * unit - exact_objective(problem, form)) <= rounding
        assert problem.required is None or form[problem.required].all()


@settings(max_examples=200)
@given(problems(), st.integers(0, 2**32))
def test_it_does_not_depend_on_the_order_of_the_requests(problem: BatchProblem, seed: int) -> None:
    """The same arrays, of rows that are the same requests."""
    assume(enumerate_all(problem).optimum is not None)
    order = np.random.default_rng(seed).permutation(problem.num_requests)
    one, other = reduce(problem, ordered=True), reduce(permuted(problem, order), ordered=True)
    for name in ("gain", "blocks", "tokens", "seqs"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert (one.limits, one.unit, one.unit_s) == (other.limits, other.unit, other.unit_s)


@settings(max_examples=200)
@given(problems(), st.integers(2, 1000))
def test_blocks_are_counted_in_units(problem: BatchProblem, scale: int) -> None:
    """Weights and capacity that are multiplied by the same number come to the same, but for the unit."""
    assume(enumerate_all(problem).optimum is not None and problem.weights.max() * scale <= 2**32)
    one = reduce(problem)
    other = reduce(scaled_weights(problem, scale))
    assert np.array_equal(one.gain, other.gain) and np.array_equal(one.blocks, other.blocks)
    assert one.limits == other.limits
    assert other.unit == one.unit * scale or not one.blocks.any()


def test_options_that_fit_alone_are_offered_where_the_bound_is_asked_for() -> None:
    """Request 1 fits alone in its second form, though not beside the base."""
    beside, alone = (reduce(CROWDED, beside, ordered=True) for beside in (True, False))
    assert not (beside.gain[:, 0] > 0).any()
    assert alone.gain[1, 0] == 9.0


def test_a_form_that_does_not_fit_alone_is_never_offered() -> None:
    """A required request has 3 blocks; of 4 more there are enough for the bound, but 7 do not fit into 6 alone."""
    problem = BatchProblem([[9.0, 1.0], [2.0, 1.0]], [[7, 3], [2, 1]], 6, required=[True, False])
    for beside in (False, True):
        residual = reduce(problem, beside)
        assert residual.gain.max() == 2.0
        assert residual.forms(np.array([0, 1])).tolist() == [2, 1]


def test_requests_stand_by_falling_values_and_equal_ones_by_all_else() -> None:
    """The order depends on their data alone."""
    order = canonical_order(BatchProblem([[2.0, 1.0], [3.0, 0.0], [2.0, 1.5]], [[4, 1], [1, 1], [4, 1]], 1))
    assert order.tolist() == [1, 2, 0]


def test_the_base_is_the_most_valuable_of_the_lightest_forms() -> None:
    """Of two that take as little; of request 1 the one form that takes least."""
    problem = BatchProblem([[1.0, 2.0, 9.0], [5.0, 1.0, 3.0]], [[2, 2, 3], [3, 2, 1]], 9, required=[True, True])
    assert reduce(problem).forms(np.array([0, 0])).tolist() == [2, 3]


def test_of_two_options_the_more_valuable_gains_more() -> None:
    """Also where a large base rounds both to the same."""
    base = np.array([-(2.0**54)])
    gain = above(base, np.array([[-(2.0**54)], [1.0], [1.5]]))
    assert 1.0 - base == 1.5 - base
    assert gain[0, 0] == 0 < gain[1, 0] < gain[2, 0]


@pytest.mark.parametrize(("entries", "unit"), [([4, 6], 2), ([0, 9], 9), ([0, 0], 1), ([5, 7], 1)])
def test_the_common_unit(entries: list[int], unit: int) -> None:
    """The greatest common divisor, and 1 of nothing."""
    assert common_unit(np.array([entries])) == unit


def test_tiny_gains_are_counted_in_a_power_of_two() -> None:
    """The next above the largest; ordinary ones in seconds."""
    assert unit_of(np.array([[0.5, 3.0]])) == unit_of(np.array([[-1.0, 0.0]])) == 1.0
    assert unit_of(np.array([[5e-324, 3e-323]])) == 2.0**-1071
