"""Values over the whole range of floats: core answers with the optimum, and the greedy keeps its factor, exactly."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from aptsched import BatchProblem, InputError, greedy
from brute_force import base_value, check_selection, enumerate_all, num_constraints
from hard_problems import CANCELLING, DENORMAL, SUBNORMAL
from proofs import extreme_instances, fuzz
from solvers import core
from solvers.solution import Status

OF_TWO_SIZES = BatchProblem([[1e280], [1.0], [5.0], [4.5]], [[1], [2], [3], [2]], 5)
BASES_OF_THREE_SIZES = BatchProblem(
    [[-1e280, 2.0], [-1e30, 3.0], [4.0, 7.0]], [[1, 3], [1, 2], [1, 3]], 6, required=[True] * 3
)
HIDDEN = BatchProblem([[2.0**900, 0.0], [3.0, 2.0], [2.0, 1.5]], [[1, 1], [2, 1], [2, 1]], 3, [1, 1, 1], 3, 3)


@pytest.mark.parametrize(
    ("problem", "form", "optimum"),
    [
        (CANCELLING, [3], 5.0),
        (SUBNORMAL, [1, 0, 0], 5e-324),
        (DENORMAL, [1, 0], 5e-324),
        (OF_TWO_SIZES, [1, 1, 0, 1], 1e280),
        (BASES_OF_THREE_SIZES, [2, 2, 1], 9.0),
    ],
    ids=["cancelling", "subnormal", "denormal", "of two sizes", "bases of three sizes"],
)
def test_optima_that_floats_hide(problem: BatchProblem, form: list[int], optimum: float) -> None:
    """Differences lost below a base or below other requests, and slopes below the least float, still count."""
    solution = core.solve(problem)
    assert solution.status is Status.OPTIMAL and solution.selection is not None
    assert solution.selection.form.tolist() == form and solution.objective_s == optimum
    assert check_selection(problem, solution.selection) == enumerate_all(problem).optimum
    assert solution.bound_s >= solution.objective_s


def test_exact_where_a_large_value_hides_the_others() -> None:
    """The sum of floats is the same for every choice beside 2**900; the answer is the best one all the same."""
    solution = core.solve(HIDDEN)
    assert solution.status is Status.OPTIMAL and solution.selection is not None
    assert check_selection(HIDDEN, solution.selection) == enumerate_all(HIDDEN).optimum
    assert Fraction(solution.bound_s) >= enumerate_all(HIDDEN).optimum  # type: ignore[operator]


@pytest.mark.parametrize("exponent", [-1074, -1060, -1022, -900, -700, 0, 700, 936])
def test_powers_of_two_change_nothing(exponent: int) -> None:
    """The same instance in units of any size has the same answer, as long as its values are core."""
    values = np.array([[9.0, 8.0], [7.0, 5.0], [6.0, 3.0], [4.0, 3.0]])
    weights: Any = [[6, 3], [5, 3], [4, 2], [4, 2]]
    limits: dict[str, Any] = {"num_tokens": [5, 6, 7, 8], "max_tokens": 19, "max_seqs": 3}
    expected = core.solve(BatchProblem(values, weights, 9, **limits)).objective_s
    problem = BatchProblem(np.ldexp(values, exponent), weights, 9, **limits)
    solution = core.solve(problem)
    assert solution.status is Status.OPTIMAL and solution.objective_s == np.ldexp(expected, exponent)
    assert greedy(problem).form.tolist() == greedy(BatchProblem(values, weights, 9, **limits)).form.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_instances_at_the_ends_of_what_is_accepted(seed: int) -> None:
    """2,500 of them: factor, certificate, proof and bound hold in exact arithmetic, without a warning."""
    rng = np.random.default_rng([20261128, seed])
    for _ in range(10):
        fuzz.check_batch(extreme_instances.extreme_batch(rng, 50), ["core"])


def test_greedy_keeps_its_factor_above_a_costly_base() -> None:
    """With nothing short the greedy is the optimum, also where a base makes the values' differences vanish."""
    problem = BatchProblem([[-1e221, 0.9, 11.0], [9.0, 5.0, 6.0]], [[1, 3, 4], [2, 1, 3]], 8, required=[True, False])
    assert num_constraints(problem) == 0 and base_value(problem) == Fraction(-1e221)
    assert greedy(problem).objective_s == greedy(problem, fill=False).objective_s == 20.0


@pytest.mark.parametrize("weight", [2**32 + 1, 2**53 + 1, 2**62])
def test_larger_counts_are_refused(weight: int) -> None:
    """Weights and tokens beyond 2**32 end in one message that names the field, the value and the limit."""
    with pytest.raises(
        InputError, match=rf"^weights\[0, 0\]: {weight} is not accepted; whole numbers from 0 to 2\*\*32"
    ):
        BatchProblem([[1.0]], [[weight]], 2**63)
    with pytest.raises(InputError, match=r"^num_tokens\[0\]: "):
        BatchProblem([[1.0]], [[1]], 5, [weight], 2**63)


def test_no_warning_at_the_ends() -> None:
    """Values of 2**940 beside the least float, weights of 0 and 2**32, a capacity of 2**62."""
    problem = BatchProblem(
        [[2.0**940, 5e-324], [5e-324, -(2.0**940)]], [[2**32, 0], [0, 2**32]], 2**62, required=[False, True]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = core.solve(problem)
    assert solution.status is Status.OPTIMAL and solution.objective_s == 2.0**940
