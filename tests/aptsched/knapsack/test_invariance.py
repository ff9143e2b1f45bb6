"""The greedy's objective depends on the problem, not on its order or its units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem, greedy
from aptsched.support.checks import MAX_COUNT
from brute_force import enumerate_all
from strategies import problems, sweep_problem
from variants import permuted, scaled_weights


def objectives(problem: BatchProblem) -> tuple[float, float]:
    """Without and with filling."""
    return greedy(problem, fill=False).objective_s, greedy(problem, fill=True).objective_s


def feasible_sweep(indices: range) -> list[BatchProblem]:
    """The instances of the fixed sweep that have an answer."""
    return [p for p in map(sweep_problem, indices) if enumerate_all(p).optimum is not None]


def test_permutation_on_the_sweep() -> None:
    """Two random orders of each instance, ties included."""
    rng = np.random.default_rng(2)
    for problem in feasible_sweep(range(1000)):
        expected = objectives(problem)
        for _ in range(2):
            assert objectives(permuted(problem, rng.permutation(problem.num_requests))) == expected


@settings(max_examples=200)
@given(problem=problems(), data=st.data())
def test_permutation(problem: BatchProblem, data: st.DataObject) -> None:
    """The objective is the same in any order of the requests."""
    assume(enumerate_all(problem).optimum is not None)
    order = np.array(data.draw(st.permutations(range(problem.num_requests))))
    assert objectives(permuted(problem, order)) == objectives(problem)


def test_scaled_values_on_the_sweep() -> None:
    """Seconds in units of a power of two, from 2**-20 to 2**20."""
    rng = np.random.default_rng(3)
    for problem in feasible_sweep(range(1000, 2000)):
        factor = 2.0 ** int(rng.integers(-20, 21))
        expected = tuple(factor * objective for objective in objectives(problem))
        assert objectives(replace(problem, values=problem.values * factor)) == expected


@settings(max_examples=200)
@given(problem=problems(extreme=False), exponent=st.integers(-20, 20))
def test_scaled_values(problem: BatchProblem, exponent: int) -> None:
    """The objective scales with the values, where scaling them is exact."""
    assume(enumerate_all(problem).optimum is not None)
    assume(((problem.values == 0) | (np.abs(problem.values) > 1e-250)).all())
    expected = tuple(2.0**exponent * objective for objective in objectives(problem))
    assert objectives(replace(problem, values=problem.values * 2.0**exponent)) == expected


def test_scaled_weights_on_the_sweep() -> None:
    """Blocks of another size, from 1 to 50 times smaller."""
    rng = np.random.default_rng(4)
    for problem in feasible_sweep(range(2000, 3000)):
        factor = int(rng.integers(1, 51))
        if problem.weights.max() * factor <= MAX_COUNT:
            assert objectives(scaled_weights(problem, factor)) == objectives(problem)


@settings(max_examples=200)
@given(problem=problems(), factor=st.integers(1, 50))
def test_scaled_weights(problem: BatchProblem, factor: int) -> None:
    """The objective does not change when all weights and the capacity are multiplied by the same integer."""
    assume(enumerate_all(problem).optimum is not None)
    assume(problem.weights.max() * factor <= MAX_COUNT)
    assert objectives(scaled_weights(problem, factor)) == objectives(problem)
