"""The bound that multipliers prove, and the selection that carries it."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aptsched import BatchProblem, Multipliers
from aptsched.problem.certificate import certify, dual_bound
from brute_force import check_certificate, check_selection, enumerate_all, exact_dual_bound
from strategies import problems, sweep_problem

multiplier = st.just(0.0) | st.floats(0, 10) | st.floats(0, 1e12, allow_subnormal=True)


def legal(problem: BatchProblem, *three: float) -> Multipliers:
    """The multipliers, 0 for what is unlimited."""
    return Multipliers(
        per_block_s=three[0],
        per_token_s=0.0 if problem.max_tokens is None else three[1],
        per_seq_s=0.0 if problem.max_seqs is None else three[2],
    )


@given(problem=problems(), three=st.tuples(multiplier, multiplier, multiplier))
def test_bound_is_sound_for_any_multipliers(problem: BatchProblem, three: tuple[float, float, float]) -> None:
    """The bound is at least its exact value, by little, and that is at least the optimum."""
    best = enumerate_all(problem)
    assume(best.optimum is not None)
    assert best.optimum is not None
    multipliers = legal(problem, *three)
    check_certificate(problem, multipliers, dual_bound(problem, multipliers))
    assert exact_dual_bound(problem, multipliers) >= best.optimum


def test_bound_is_sound_on_the_sweep() -> None:
    """The same with multipliers of the size of the requests' efficiencies."""
    rng = np.random.default_rng(1)
    for index in range(500):
        problem = sweep_problem(index)
        best = enumerate_all(problem)
        if best.optimum is None:
            continue
        size = float(np.abs(problem.values).max()) / max(1, int(problem.weights.max()))
        multipliers = legal(problem, *(size * rng.exponential(1.0, 3) * (rng.random(3) < 0.7)).tolist())
        bound_s = dual_bound(problem, multipliers)
        check_certificate(problem, multipliers, bound_s)
        assert Fraction(bound_s) >= best.optimum


def test_bound_of_zero_multipliers_is_rounded_up_once() -> None:
    """1 + 2**-53 + 2**-53 needs no rounding; 1 + 2**-60 is rounded to the next float above 1."""
    exact = BatchProblem(values=[[1.0], [2.0**-53], [2.0**-53]], weights=[[1], [1], [1]], capacity=3)
    assert dual_bound(exact, Multipliers()) == 1 + 2.0**-52
    above = BatchProblem(values=[[1.0], [2.0**-60]], weights=[[1], [1]], capacity=3)
    assert dual_bound(above, Multipliers()) == math.nextafter(1.0, 2.0)


@pytest.mark.parametrize("num_tokens", [None, [1, 1]])
def test_prices_of_what_is_unlimited_lower_no_bound(num_tokens: list[int] | None) -> None:
    problem = BatchProblem(values=[[3.0], [2.0]], weights=[[1], [1]], capacity=2, num_tokens=num_tokens)
    assert dual_bound(problem, Multipliers(per_token_s=1.0, per_seq_s=1.0)) == 5.0


def test_bound_counts_required_requests_below_zero() -> None:
    """A required request must be served, at -3 s; what cannot fit alone counts for nothing."""
    problem = BatchProblem(
        values=[[-3.0, -5.0], [2.0, 9.0]], weights=[[1, 1], [1, 6]], capacity=5, required=[True, False]
    )
    assert dual_bound(problem, Multipliers()) == -1.0


def test_certified_selection_by_hand() -> None:
    """Request 0 in form 2 and request 2 in form 1: 2 + 4 s, 3 + 5 blocks, 10 + 30 tokens."""
    problem = BatchProblem(
        values=[[3.0, 2.0], [1.0, 0.5], [4.0, 1.0]],
        weights=[[6, 3], [2, 1], [5, 3]],
        capacity=8,
        num_tokens=[10, 20, 30],
    )
    selection = certify(problem, np.array([2, 0, 1]), Multipliers(per_block_s=0.5))
    assert (selection.objective_s, selection.num_blocks, selection.num_tokens) == (6.0, 8, 40)
    assert selection.num_seqs == 2
    assert check_selection(problem, selection) == 6
    assert 0 < selection.gap == (selection.bound_s - 6.0) / selection.bound_s


def test_objective_is_rounded_once() -> None:
    """1e16 + 1 + 1 - 1e16 is 2, whatever the order."""
    problem = BatchProblem(values=[[1e16], [1.0], [-1e16], [1.0]], weights=[[1]] * 4, capacity=4)
    assert certify(problem, np.array([1, 1, 1, 1]), Multipliers()).objective_s == 2.0


def test_selection_is_frozen() -> None:
    """Neither the fields nor the forms of a selection can be changed, also not through the array given."""
    problem = BatchProblem(values=[[1.0]], weights=[[1]], capacity=1)
    form = np.array([1])
    selection = certify(problem, form, Multipliers())
    form[0] = 0
    assert selection.form.tolist() == [1]
    with pytest.raises(ValueError, match="read-only"):
        selection.form[0] = 0
    with pytest.raises(FrozenInstanceError):
        selection.objective_s = 2.0  # type: ignore[misc]


def test_gap_of_nothing_is_zero() -> None:
    """Objective and bound are both 0 where nothing can be served."""
    problem = BatchProblem(values=[[1.0]], weights=[[1]], capacity=0)
    selection = certify(problem, np.array([0]), Multipliers())
    assert (selection.objective_s, selection.bound_s, selection.gap) == (0.0, 0.0, 0.0)


@pytest.mark.filterwarnings("error")
def test_bound_near_the_largest_float() -> None:
    """Where prices or sums pass the largest float the bound is infinite, not an error and not too low."""
    problem = BatchProblem(values=[[8e282], [8e282]], weights=[[1], [1]], capacity=2**32)
    assert dual_bound(problem, Multipliers(per_block_s=8e307)) == math.inf
    assert dual_bound(problem, Multipliers()) == 1.6e283


def test_worthless_requests_leave_nothing_to_round() -> None:
    """Requests of value 0 at any price add nothing to the bound, not even rounding."""
    problem = BatchProblem(values=[[0.0]] * 3, weights=[[0]] * 3, capacity=0, max_seqs=0)
    multipliers = Multipliers(per_seq_s=1.0)
    check_certificate(problem, multipliers, dual_bound(problem, multipliers))
