"""`printed=True` is Algorithm 1 of Apt-Serve's appendix as it is printed, for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from aptsched import BatchProblem, greedy
from aptsched.support.errors import InputError
from brute_force import check_selection, enumerate_all

HYBRID = BatchProblem.hybrid([3.0, 2.0], [5, 4], capacity=6, penalty_s_per_block=0.125)


def algorithm_1(
    pending_s: Sequence[Fraction], num_blocks: Sequence[int], capacity: int, penalty_s: Fraction, order: Sequence[int]
) -> Fraction:
    """The value of Algorithm 1's answer; all memory in exact halves, equal gains in the given order of requests."""
    steps = []
    for i in order:
        p, m = pending_s[i], Fraction(num_blocks[i])
        to_hidden, to_kv = 2 * p / m - 2 * penalty_s, 2 * penalty_s
        if to_kv > to_hidden:
            steps.append((p / m, i, m, p))
        else:
            steps.append((to_hidden, i, m / 2, p - penalty_s * m))
            steps.append((to_kv, i, m / 2, penalty_s * m))
    free, prefix = Fraction(capacity), Fraction(0)
    for gain, i, blocks, seconds in sorted(steps, key=lambda step: -step[0]):
        if gain <= 0:
            break
        if blocks > free:
            return max(prefix, pending_s[i])
        free, prefix = free - blocks, prefix + seconds
    return prefix


def test_is_algorithm_1() -> None:
    """On 500 random instances of definition 1 whose requests all fit alone, whichever way equal gains are ordered."""
    rng = np.random.default_rng(5)
    for _ in range(500):
        n = int(rng.integers(1, 5))
        blocks = rng.integers(1, 20, n)
        pending = rng.integers(1, 2**30, n) / 2**26
        penalty = int(rng.integers(0, 16)) / 64
        capacity = int(max(blocks.max(), blocks.sum() * rng.uniform(0.2, 1.1)))
        selection = greedy(BatchProblem.hybrid(pending, blocks, capacity, penalty), printed=True)
        exact = [Fraction(p) for p in pending.tolist()]
        accepted = {
            algorithm_1(exact, blocks.tolist(), capacity, Fraction(penalty), order) for order in permutations(range(n))
        }
        assert Fraction(selection.objective_s) in accepted


def test_half_blocks_may_pass_the_capacity() -> None:
    """Two hidden requests of 2.5 blocks fit in 5 as printed, but need 3 whole blocks each."""
    selection = greedy(BatchProblem.hybrid([9.0, 9.0], [5, 5], capacity=5, penalty_s_per_block=0.125), printed=True)
    assert (selection.form.tolist(), selection.num_blocks) == ([2, 2], 6)


def test_takes_the_prefix_or_the_first_left_out() -> None:
    """Request 0 at 2 s a block goes first and the other does not fit: it alone is worth more if above 2 s."""
    for pending_s, form in ((9.0, [0, 1]), (1.5, [1, 0])):
        problem = BatchProblem.hybrid([2.0, pending_s], [1, 10], capacity=10, penalty_s_per_block=1.0)
        assert greedy(problem, printed=True).form.tolist() == form


def test_is_never_better_than_the_optimum() -> None:
    """With even numbers of blocks the answer is feasible, and its certificate as good as any."""
    rng = np.random.default_rng(6)
    for _ in range(200):
        n = int(rng.integers(1, 7))
        blocks = 2 * rng.integers(1, 10, n)
        capacity = int(max(blocks.max(), blocks.sum() * rng.uniform(0.2, 1.1)))
        problem = BatchProblem.hybrid(rng.exponential(2.0, n), blocks, capacity, 0.0625)
        optimum = enumerate_all(problem).optimum
        assert optimum is not None
        selection = greedy(problem, printed=True)
        assert check_selection(problem, selection) <= optimum <= Fraction(selection.bound_s)


@pytest.mark.parametrize(
    "changes",
    [
        {"values": [[3.0], [2.0]], "weights": [[5], [4]]},
        {"values": [[3.0, 2.0, 1.0], [2.0, 1.0, 1.0]], "weights": [[5, 3, 2], [4, 2, 1]]},
        {"weights": [[5, 2], [4, 2]]},
        {"weights": [[5, 3], [4, 3]]},
        {"num_tokens": [1, 2], "max_tokens": 2},
        {"max_seqs": 1},
        {"required": [True, False]},
    ],
    ids=["one-form", "three-forms", "rounded-down", "other-ratio", "tokens", "sequences", "required"],
)
def test_rejects_all_but_definition_1(changes: dict[str, Any]) -> None:
    """Other numbers of forms, other ratios, side constraints and required requests are no input of Algorithm 1."""
    fields: dict[str, Any] = {"values": HYBRID.values, "weights": HYBRID.weights, "capacity": HYBRID.capacity}
    problem = BatchProblem(**fields | changes)
    with pytest.raises(InputError) as error:
        greedy(problem, printed=True)
    assert "\n" not in str(error.value)
