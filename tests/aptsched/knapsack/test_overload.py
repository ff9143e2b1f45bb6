"""The smallest overload of the required requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given

from aptsched import BatchProblem
from aptsched.knapsack.residual import overload
from brute_force import enumerate_all
from strategies import problems, sweep_problem

CROWDED = BatchProblem(
    values=[[3.0, 2.0], [1.0, 0.5], [9.0, 9.0]],
    weights=[[6, 3], [2, 4], [1, 1]],
    capacity=4,
    num_tokens=[10, 20, 99],
    max_tokens=25,
    max_seqs=1,
    required=[True, True, False],
)


def test_overload_by_hand() -> None:
    """Lightest forms need 3 + 2 of 4 blocks, 10 + 20 of 25 tokens and 2 sequences of 1."""
    error = overload(CROWDED)
    assert error is not None
    assert (error.num_blocks, error.num_tokens, error.num_seqs) == (1, 5, 1)
    assert "by 1 block, 5 tokens and 1 sequence" in str(error)


def test_no_overload_without_required_requests() -> None:
    """Serving nobody always fits."""
    assert overload(replace(CROWDED, required=None)) is None
    assert overload(replace(CROWDED, required=np.zeros(3, bool), capacity=0, max_tokens=0, max_seqs=0)) is None


def test_no_overload_where_the_lightest_forms_just_fit() -> None:
    """At the exact need there is none."""
    assert overload(replace(CROWDED, capacity=5, max_tokens=30, max_seqs=2)) is None


@given(problem=problems())
def test_overload_is_that_of_enumeration(problem: BatchProblem) -> None:
    """There is an overload exactly where no choice is feasible, and none is smaller."""
    check(problem)


def test_overload_on_the_sweep() -> None:
    """The same on instances of the fixed sweep."""
    for index in range(500):
        check(sweep_problem(index))


def check(problem: BatchProblem) -> None:
    """Compare with enumeration."""
    best, error = enumerate_all(problem), overload(problem)
    assert (error is None) == (best.optimum is not None)
    if error is not None:
        assert (error.num_blocks, error.num_tokens, error.num_seqs) == best.overload
