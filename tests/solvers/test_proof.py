"""The bound that goes with a proof of optimality."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from aptsched import BatchProblem
from brute_force import enumerate_all
from references import BY_HAND
from solvers.methods import find_method
from solvers.proof import is_finer


@pytest.mark.parametrize(
    ("values", "grid"), [([3.0, -0.75], 0.25), ([6.0, 4.0], 2.0), ([0.0, 0.0], np.inf), ([1.0, 1 / 3], 2.0**-54)]
)
def test_what_is_finer_than_the_grid_of_all_values(values: list[float], grid: float) -> None:
    """All values are multiples of a power of two, and of none above it: less than that is finer, as much is not."""
    table = np.array([values, [0.0, 8.0]])
    assert is_finer(table, min(grid, 8.0) * (1 - 2**-50)) and not is_finer(table, min(grid, 8.0))


@pytest.mark.parametrize("name", ["core", "cpsat", "milp", "pulp-cbc"])
def test_equal_where_nothing_is_rounded(name: str) -> None:
    """With values in quarters of a second the bound of an optimum is the optimum."""
    solution = find_method(name).solve(BY_HAND, None)
    assert solution.bound_s == solution.objective_s == 18.75


@pytest.mark.parametrize("name", ["core", "cpsat", "milp"])
def test_never_below_the_optimum(name: str) -> None:
    """Values that differ in their last bits alone: the bound is not below the exact optimum, and hardly above it."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        values = 1.0 + rng.integers(0, 64, (8, 1)) * 2.0**-52
        problem = BatchProblem(values, rng.integers(3, 6, (8, 1)), 15)
        problem = dataclasses.replace(problem, values=problem.values * rng.uniform(1, 1 + 1e-12, (8, 1)))
        solution, best = find_method(name).solve(problem, None), enumerate_all(problem)
        assert best.optimum is not None
        assert best.optimum <= Fraction(solution.bound_s) <= best.optimum * (1 + Fraction(1, 10**9))
