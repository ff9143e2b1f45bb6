"""How close instances come to the factors claimed. The ratios are printed at the end of the run."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from aptsched import BatchProblem, greedy
from brute_force import enumerate_all, exact_objective, num_constraints
from strategies import random_problem


def pair_behind_giants(size: int, blocks: bool = True) -> BatchProblem:
    """Two requests of `size` fill the capacity of 2 * size, but two of size + 1 are slightly more efficient.

    The first giant is taken, the second does not fit; alone it is worth less. Beside either giant nothing fits, so
    filling cannot help whichever of them it starts from.
    """
    weights = np.array([[size + 1], [size + 1], [size], [size]])
    values = weights + np.array([[2.0], [1.0], [0.0], [0.0]]) * 2**-10
    if blocks:
        return BatchProblem(values=values, weights=weights, capacity=2 * size)
    return BatchProblem(
        values=values, weights=np.ones((4, 1)), capacity=4, num_tokens=weights[:, 0], max_tokens=2 * size
    )


def pair_behind_hybrid_giants(size: int) -> BatchProblem:
    """The same with definition 1, where a hidden request costs more than it is worth."""
    return BatchProblem.hybrid(
        pending_s=[size + 1 + 2**-9, size + 1 + 2**-10, size, size],
        num_blocks=[size + 1, size + 1, size, size],
        capacity=2 * size,
        penalty_s_per_block=1.0,
    )


def pair_behind_hidden_giants(size: int) -> BatchProblem:
    """The same with requests that fit in hidden form only: twice the blocks in KV, and worth 1/8 more in it."""
    blocks = np.array([size + 1, size + 1, size, size])
    hidden = blocks + np.array([2.0, 1.0, 0.0, 0.0]) * 2**-10
    return BatchProblem.hybrid(
        pending_s=hidden + blocks / 8, num_blocks=2 * blocks, capacity=2 * size, penalty_s_per_block=1 / 16
    )


def pair_behind_quantised_giants(size: int) -> BatchProblem:
    """Six requests of three forms: the pair and the giants, and two that are worth nothing in what fits."""
    pair = pair_behind_giants(size)
    none = np.array([[0.0], [0.0]])
    values = np.concatenate([pair.values, none])
    weights = np.concatenate([pair.weights, [[1], [2]]])
    return BatchProblem(values=values * [1.0, 2**-12, 2**-13], weights=weights * [1, 1, 1], capacity=pair.capacity)


FAMILIES: list[Callable[[int], BatchProblem]] = [
    pair_behind_giants,
    lambda size: pair_behind_giants(size, blocks=False),
    pair_behind_hybrid_giants,
    pair_behind_hidden_giants,
    pair_behind_quantised_giants,
]


@pytest.mark.parametrize("fill", [True, False])
@pytest.mark.parametrize("family", FAMILIES, ids=["blocks", "tokens", "hybrid", "hidden", "three-forms"])
def test_one_constraint_comes_within_1_percent_of_2(
    family: Callable[[int], BatchProblem], fill: bool, record_property: Callable[[str, object], None]
) -> None:
    """The factor two cannot be improved, with fallback and filling; as the size grows the ratio goes to 2."""
    ratios = [_ratio(family(size), fill) for size in (10, 100, 1000)]
    problem = family(1000)
    assert num_constraints(problem) == 1 and problem.num_requests <= 6
    assert ratios == sorted(ratios)
    assert 2 / 1.01 <= ratios[-1] <= 2
    record_property("ratio", f"d = 1, {problem.num_requests} requests, fill={fill}: {float(ratios[-1]):.4f} of 2")


def trio_behind_a_giant(size: int) -> BatchProblem:
    """Blocks and tokens bind. The giant keeps out all three others: two for lack of blocks, one by a single token."""
    values = size + np.array([2 + 2**-9, 2 + 2**-10, -1, 2 + 2**-9])
    weights, tokens = np.array([size + 1, size, size, 0]), np.array([1, 0, 0, 2 * size])
    return BatchProblem(values[:, None], weights[:, None], 2 * size, tokens, 2 * size)


def found(d: int) -> BatchProblem:
    """The worst instances that a local search over values, weights and tokens came upon, filling included."""
    values, weights, tokens, max_seqs = {
        2: ([4238, 3050, 1188, 4238], [2531, 95, 617, 279], [16, 82, 73, 2869], None),
        3: ([3442, 3269, 3447, 3447], [1539, 1461, 1540, 0], [0, 0, 1, 3000], 3),
    }[d]
    return BatchProblem(np.array(values)[:, None], np.array(weights)[:, None], 3000, np.array(tokens), 3000, max_seqs)


@pytest.mark.parametrize(
    ("d", "fill", "problem"),
    [(2, False, trio_behind_a_giant(1000)), (2, True, found(2)), (3, True, found(3))],
    ids=["trio", "found-2", "found-3"],
)
def test_worst_ratio_known(
    d: int, fill: bool, problem: BatchProblem, record_property: Callable[[str, object], None]
) -> None:
    """The worst instances known for two and three constraints are within d + 1; printed beside the claim."""
    ratio = _ratio(problem, fill)
    assert num_constraints(problem) == d
    assert ratio <= d + 1
    record_property("ratio", f"d = {d}, {problem.num_requests} requests, fill={fill}: {float(ratio):.4f} of {d + 1}")


@pytest.mark.parametrize("d", [1, 2, 3])
def test_worst_ratio_found(d: int, record_property: Callable[[str, object], None]) -> None:
    """A random search with local changes stays within d + 1; what it finds is printed beside the claim."""
    rng = np.random.default_rng(d)
    worst, where = Fraction(0), None
    for _ in range(400):
        problem = random_problem(rng, required=False)
        if num_constraints(problem) == d and _ratio(problem) > worst:
            worst, where = _ratio(problem), problem
    assert where is not None
    for _ in range(400):
        changed = _changed(where, rng)
        if num_constraints(changed) == d and (ratio := _ratio(changed)) >= worst:
            worst, where = ratio, changed
    assert worst <= d + 1
    record_property("ratio", f"d = {d}, random search: {float(worst):.4f}, claimed {d + 1}")


def _ratio(problem: BatchProblem, fill: bool = True) -> Fraction:
    optimum = enumerate_all(problem).optimum
    achieved = exact_objective(problem, greedy(problem, fill=fill).form)
    assert optimum is not None
    return optimum / achieved if optimum else Fraction(1)


def _changed(problem: BatchProblem, rng: np.random.Generator) -> BatchProblem:
    """One request or limit changed by a little."""
    n, k = problem.values.shape
    i, f, step = rng.integers(n), rng.integers(k), int(rng.integers(-2, 3))
    values, weights = problem.values.copy(), problem.weights.copy()
    tokens = None if problem.num_tokens is None else problem.num_tokens.copy()
    values[i, f] *= rng.uniform(0.8, 1.25)
    weights[i, f] = max(0, weights[i, f] + step)
    if tokens is not None:
        tokens[rng.integers(n)] += rng.integers(0, 2)
    capacity = max(1, problem.capacity + int(rng.integers(-1, 2)))
    return BatchProblem(values, weights, capacity, tokens, problem.max_tokens, problem.max_seqs)
