"""Statements (1), (2), (4) and (6) of proofs/THEOREMS.md on random instances, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from aptsched import BatchProblem, Multipliers, greedy
from brute_force import check_selection, exact_dual_bound, exact_objective, num_constraints
from strategies import random_problem

ROUNDED = 1 + Fraction(1, 2**40)  # more than floats make of a sum


def samples(number: int, side_constraints: bool) -> Iterator[BatchProblem]:
    """Instances without required requests."""
    rng = np.random.default_rng(11)
    for _ in range(number):
        yield random_problem(rng, side_constraints=side_constraints, required=False)


def slopes(problem: BatchProblem) -> set[float]:
    """Value per block from each option of a request to each other: at these prices the bound bends."""
    found = {0.0}
    for values, weights in zip(problem.values.tolist(), problem.weights.tolist(), strict=True):
        options = [(0.0, 0), *zip(values, weights, strict=True)]
        for (value, weight), (other, lighter) in product(options, options):
            if weight > lighter and value > other:
                found.add((value - other) / (weight - lighter))
    return found


def test_1_hulls_lose_nothing_in_the_lp() -> None:
    """The greedy's price, found on hulls, gives the least bound of all: the optimum of the LP over all forms."""
    for problem in samples(400, side_constraints=False):
        bound = exact_dual_bound(problem, greedy(problem).multipliers)
        least = min(exact_dual_bound(problem, Multipliers(slope)) for slope in slopes(problem))
        assert bound <= least * ROUNDED


@pytest.mark.parametrize("side_constraints", [False, True])
def test_2_and_4_the_greedy_is_worth_its_share_of_the_lp(side_constraints: bool) -> None:
    """1 / (D + 1) of its bound, which is the LP's optimum, even without filling; half of it with memory alone."""
    for problem in samples(600, side_constraints):
        if problem.max_seqs == 0:  # then the bound has options that the LP has not
            continue
        selection = greedy(problem, fill=False)
        achieved = check_selection(problem, selection)
        bound = exact_dual_bound(problem, selection.multipliers)
        assert achieved * (num_constraints(problem) + 1) * ROUNDED >= bound


def test_6_reduction_discards_nothing_better() -> None:
    """At any price and for any incumbent: what is worth more has losses of less than the gap, each and in all."""
    rng, num_better = np.random.default_rng(12), 0
    for _ in range(60):
        n, k = 3, 2
        problem = BatchProblem(rng.integers(0, 20, (n, k)), rng.integers(1, 9, (n, k)), int(rng.integers(8, 20)))
        price = Fraction(int(rng.integers(0, 40)), 8)
        bound = exact_dual_bound(problem, Multipliers(float(price)))
        incumbent = Fraction(int(rng.integers(10, 30)))
        for form in product(range(k + 1), repeat=n):
            weight = sum(int(problem.weights[i, f - 1]) for i, f in enumerate(form) if f)
            value = exact_objective(problem, np.array(form))
            if weight <= problem.capacity and value > incumbent:
                losses = [_loss(problem, i, f, price) for i, f in enumerate(form)]
                assert min(losses) >= 0 and sum(losses) < bound - incumbent
                num_better += 1
    assert num_better > 60


def _loss(problem: BatchProblem, i: int, form: int, price: Fraction) -> Fraction:
    fits = problem.weights[i] <= problem.capacity
    reduced: list[Fraction] = [
        Fraction(v) - price * w for v, w in zip(problem.values[i].tolist(), problem.weights[i].tolist(), strict=True)
    ]
    best = max([Fraction(0), *(r for r, fit in zip(reduced, fits.tolist(), strict=True) if fit)])
    return best - (reduced[form - 1] if form else Fraction(0))
