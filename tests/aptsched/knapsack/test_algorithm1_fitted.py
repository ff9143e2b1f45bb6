"""Algorithm 1 where its answer has to fit: feasible, certified, within its guarantee, and as printed in even blocks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.knapsack.algorithm1 import algorithm1
from aptsched.knapsack.algorithm1_fitted import algorithm1_fitted
from aptsched.support.errors import InputError
from brute_force import check_selection, enumerate_all
from strategies import hybrid_problems, random_problem

HYBRID = BatchProblem.hybrid([3.0, 2.0], [5, 4], capacity=6, penalty_s_per_block=0.125)


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32 - 1))
def test_feasible_and_certified_within_all_limits(seed: int) -> None:
    """On one or two forms of any values and weights, whatever tokens and sequences allow."""
    problem = random_problem(np.random.default_rng(seed), required=False)
    assume(problem.num_forms <= 2)
    selection = algorithm1_fitted(problem)
    optimum = enumerate_all(problem).optimum
    assert optimum is not None
    assert check_selection(problem, selection) <= optimum <= Fraction(selection.bound_s)


@settings(max_examples=300)
@given(problem=hybrid_problems())
def test_at_least_half_of_the_optimum(problem: BatchProblem) -> None:
    """On definition 1 in whole blocks, at any ratio, also where some forms do not fit even alone."""
    achieved, optimum = check_selection(problem, algorithm1_fitted(problem)), enumerate_all(problem).optimum
    assert optimum is not None and 2 * achieved >= optimum


@settings(max_examples=200)
@given(
    pending=st.lists(st.integers(1, 2**40), min_size=1, max_size=12, unique=True),
    halves=st.lists(st.integers(1, 20), min_size=12, max_size=12),
    scarcity=st.floats(0.1, 1.1),
)
def test_is_the_printed_one_in_even_blocks(pending: list[int], halves: list[int], scarcity: float) -> None:
    """Where halves are whole blocks and every request fits alone, the printed answer fits, and it is the same."""
    blocks = 2 * np.array(halves[: len(pending)])
    capacity = int(max(blocks.max(), scarcity * blocks.sum()))
    problem = BatchProblem.hybrid(np.array(pending) / 2**32, blocks, capacity, penalty_s_per_block=1 / 3)
    fitted, printed = algorithm1_fitted(problem), algorithm1(problem)
    assert fitted.form.tolist() == printed.form.tolist()
    assert (fitted.bound_s, fitted.multipliers) == (printed.bound_s, printed.multipliers)


def test_two_requests_by_hand() -> None:
    """Of 6 blocks, 3 s for 5 and 2 s for 4 at 0.125 s a block: hidden forms are worth 2.375 s for 3 and 1.5 s for 2.

    Steps: 1 hidden 0.75 a block (2), 0 hidden 0.79 (3), so both, 5 blocks; then 0 to KV 0.3125 (2) does not fit, and
    3 s alone are less than 3.875 s.
    """
    selection = algorithm1_fitted(HYBRID)
    assert (selection.form.tolist(), selection.objective_s, selection.num_blocks) == ([2, 2], 3.875, 5)
    assert selection.multipliers.per_block_s == 0.625 / 2


def test_the_first_left_out_alone() -> None:
    """Of 10 blocks a small request takes 1 at 2 s a block; one of 10 s for 10 blocks does not fit then, and wins."""
    selection = algorithm1_fitted(BatchProblem([[2.0], [10.0]], [[1], [10]], capacity=10))
    assert (selection.form.tolist(), selection.multipliers.per_block_s) == ([0, 1], 1.0)


def test_the_first_left_out_alone_in_the_form_that_fits() -> None:
    """One whose KV cache exceeds the pool is taken in hidden form: 10 s less a charge of 4 s beat 2 s."""
    selection = algorithm1_fitted(BatchProblem([[2.0, 1.0], [10.0, 6.0]], [[1, 1], [20, 10]], capacity=10))
    assert (selection.form.tolist(), selection.num_blocks) == ([0, 2], 10)


def test_a_hidden_form_that_saves_no_block_is_not_chosen() -> None:
    """Of one block, half of it is one block too: KV at once, even if no time is charged."""
    problem = BatchProblem.hybrid([1.0, 1.0], [1, 1], capacity=2, penalty_s_per_block=0.0)
    assert algorithm1_fitted(problem).form.tolist() == [1, 1]


def test_who_exceeds_the_token_budget_is_passed_over() -> None:
    """Of 60 tokens the first takes 50; 30 are too many, and 10 of the next are admitted, in both of its steps."""
    problem = BatchProblem.hybrid([9.0, 8.0, 7.0], [4, 4, 4], capacity=12, penalty_s_per_block=0.25)
    limited = replace(problem, num_tokens=np.array([50, 30, 10]), max_tokens=60)
    assert algorithm1_fitted(limited).form.tolist() == [1, 0, 1]


def test_no_more_than_the_sequence_limit() -> None:
    """The first two by gain per block, and the steps to KV of these alone."""
    problem = BatchProblem.hybrid([9.0, 8.0, 7.0], [4, 4, 4], capacity=12, penalty_s_per_block=0.25)
    assert algorithm1_fitted(replace(problem, max_seqs=2)).form.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("problem", "named"),
    [
        (BatchProblem([[3.0, 2.0, 1.0]], [[4, 3, 2]], capacity=4), "values"),
        (replace(HYBRID, required=np.array([True, False])), "required"),
    ],
)
def test_what_it_is_not_for(problem: BatchProblem, named: str) -> None:
    """A third form, and requests that have to be served."""
    with pytest.raises(InputError, match=named):
        algorithm1_fitted(problem)
