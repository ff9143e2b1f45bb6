"""The brute force itself, and the problems it is used on: a bug in a test is found here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from aptsched import BatchProblem, Multipliers
from brute_force import check_certificate, enumerate_all, exact_dual_bound, exact_objective, num_constraints
from strategies import sweep_problem


def test_four_requests_by_hand() -> None:
    """10 blocks: request 0 in KV (6), 1 hidden (2), 2 hidden (2) are worth 6 + 3 + 3.5; nothing else beats 12.5."""
    problem = BatchProblem(
        values=[[6.0, 2.0], [5.0, 3.0], [4.0, 3.5], [1.0, 0.5]],
        weights=[[6, 3], [4, 2], [4, 2], [2, 1]],
        capacity=10,
    )
    best = enumerate_all(problem)
    assert best.optimum == Fraction(25, 2)
    assert best.form is not None and best.form.tolist() == [1, 2, 2, 0]


def test_agrees_with_recursion() -> None:
    """Enumeration and a plain recursion in Fractions find the same optimum, or none."""
    problems = [sweep_problem(index) for index in range(300)]
    small = [problem for problem in problems if (problem.num_forms + 1) ** problem.num_requests <= 3000]
    assert len(small) > 200
    for problem in small:
        best = enumerate_all(problem)
        assert best.optimum == max(_feasible_values(problem), default=None)
        if best.form is not None:
            assert best.optimum == exact_objective(problem, best.form)


def test_smallest_overload_by_hand() -> None:
    """Lightest forms need 3 + 4 of 5 blocks; 9 tokens of 7 and 2 sequences of 1."""
    problem = BatchProblem(
        values=[[1.0, 1.0], [1.0, 1.0]],
        weights=[[5, 3], [4, 6]],
        capacity=5,
        num_tokens=[4, 5],
        max_tokens=7,
        max_seqs=1,
        required=[True, True],
    )
    assert enumerate_all(problem).overload == (2, 2, 1)


def test_dual_bound_by_hand() -> None:
    """2 * 3 + max(0, 5 - 2 * 1) + max(0, 3 - 2 * 2); the third request cannot fit alone."""
    problem = BatchProblem(values=[[5.0], [3.0], [99.0]], weights=[[1], [2], [4]], capacity=3)
    assert exact_dual_bound(problem, Multipliers(per_block_s=2.0)) == 9
    check_certificate(problem, Multipliers(per_block_s=2.0), 9.0)
    with pytest.raises(AssertionError, match="below"):
        check_certificate(problem, Multipliers(per_block_s=2.0), float(np.nextafter(9.0, 0.0)))


def test_sweep_has_all_it_should() -> None:
    """Every number of forms, constraints and requests, feasible and not, is well represented in the sweep."""
    problems = [sweep_problem(index) for index in range(1000)]
    best = [enumerate_all(problem) for problem in problems]
    assert min(Counter(problem.num_forms for problem in problems).values()) > 250
    assert min(Counter(num_constraints(problem) for problem in problems).values()) > 50
    assert 50 < sum(b.optimum is None for b in best) < 150
    assert sum(b.optimum == 0 for b in best) < 150
    assert 150 < sum(problem.required is not None for problem in problems)
    assert 100 < sum(not problem.fits_alone().all() for problem in problems)


def test_sweep_is_reproducible() -> None:
    """The same index is the same instance."""
    for index in range(20):
        first, second = sweep_problem(index), sweep_problem(index)
        assert np.array_equal(first.values, second.values) and np.array_equal(first.weights, second.weights)
        assert first.capacity == second.capacity


def _feasible_values(problem: BatchProblem) -> Iterator[Fraction]:
    """The value of every feasible choice, one request after another."""
    n, k = problem.values.shape
    tokens = [0] * n if problem.num_tokens is None else problem.num_tokens.tolist()
    required = [False] * n if problem.required is None else problem.required.tolist()
    infinite = 2**62
    free_tokens = infinite if problem.max_tokens is None else problem.max_tokens
    free_seqs = infinite if problem.max_seqs is None else problem.max_seqs

    def extend(i: int, value: Fraction, blocks: int, token: int, seqs: int) -> Iterator[Fraction]:
        if min(blocks, token, seqs) < 0:
            return
        if i == n:
            yield value
            return
        if not required[i]:
            yield from extend(i + 1, value, blocks, token, seqs)
        for f in range(k):
            v, w = Fraction(float(problem.values[i, f])), int(problem.weights[i, f])
            yield from extend(i + 1, value + v, blocks - w, token - tokens[i], seqs - 1)

    return extend(0, Fraction(0), problem.capacity, free_tokens, free_seqs)
