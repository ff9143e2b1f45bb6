"""Statements (3) and (7) of proofs/THEOREMS.md in numbers: the factor 2 is met, and the printed claims fail."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest

from aptsched import BatchProblem, greedy
from brute_force import enumerate_all, exact_objective, guarantee_kept, num_constraints

Step = tuple[Fraction, Fraction, int, int]  # gain and blocks, request, form it leads to (1 = KV, 2 = hidden)


def optimum(problem: BatchProblem) -> Fraction:
    """By enumeration."""
    best = enumerate_all(problem).optimum
    assert best is not None
    return best


def printed_steps(pending: Sequence[int], blocks: Sequence[int], penalty: Fraction, whole: bool) -> list[Step]:
    """The increments of Algorithm 1 in its own order: of exact halves, or with the weights of whole blocks in it."""
    steps: list[tuple[Fraction, Step]] = []
    for i, (p, m) in enumerate(zip(pending, blocks, strict=True)):
        hidden = Fraction(-(-m // 2)) if whole else Fraction(m, 2)
        to_hidden, to_kv = Fraction(2 * p, m) - 2 * penalty, 2 * penalty
        if to_kv > to_hidden:
            steps.append((Fraction(p, m), (Fraction(p), Fraction(m), i, 1)))
        else:
            steps.append((to_hidden, (p - penalty * m, hidden, i, 2)))
            steps.append((to_kv, (penalty * m, m - hidden, i, 1)))
    return [step for slope, step in sorted(steps, key=lambda entry: -entry[0]) if slope > 0]


def prefix(steps: Sequence[Step], capacity: int) -> tuple[Fraction, Step | None]:
    """What the longest prefix that fits is worth, and the step left out."""
    free, worth = Fraction(capacity), Fraction(0)
    for step in steps:
        if step[1] > free:
            return worth, step
        free, worth = free - step[1], worth + step[0]
    return worth, None


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("m", [3, 10, 100, 10_000])
def test_3_the_factor_2_is_tight(m: int, fill: bool) -> None:
    """One request of 2 s in a block, two of m s in m blocks, and 2 m blocks: m + 2 s of 2 m s."""
    problem = BatchProblem([[2.0], [float(m)], [float(m)]], [[1], [m], [m]], 2 * m)
    achieved = exact_objective(problem, greedy(problem, fill=fill).form)
    assert achieved == m + 2 and optimum(problem) == 2 * m
    assert optimum(problem) / achieved == 2 - Fraction(4, m + 2)


def test_7a_the_fallback_may_not_fit() -> None:
    """One request of 2 blocks: hidden it fits in 1, and the printed answer is its KV form."""
    problem = BatchProblem.hybrid([1.0], [2], capacity=1, penalty_s_per_block=0.125)
    printed = greedy(problem, printed=True)
    assert (printed.form.tolist(), printed.num_blocks) == ([1], 2)
    ours = greedy(problem)
    assert ours.form.tolist() == [2] and exact_objective(problem, ours.form) == optimum(problem) == Fraction(3, 4)


def test_7b_a_request_that_fits_in_no_form_keeps_all_others_out() -> None:
    """It comes first by gain per block. Refused as well, it leaves 0 of 1 s: there is no factor at all."""
    problem = BatchProblem.hybrid([8.0, 1.0], [4, 1], capacity=1, penalty_s_per_block=0.0)
    printed = greedy(problem, printed=True)
    assert (printed.form.tolist(), printed.num_blocks) == ([1, 0], 4)
    assert prefix(printed_steps([8, 1], [4, 1], Fraction(0), whole=False), 1)[0] == 0
    assert exact_objective(problem, greedy(problem).form) == optimum(problem) == 1


def test_7c_halves_of_blocks_do_not_add_up() -> None:
    """Two hidden requests of half a block: 1 block as printed, 2 in whole ones."""
    problem = BatchProblem.hybrid([1.0, 1.0], [1, 1], capacity=1, penalty_s_per_block=0.0)
    printed = greedy(problem, printed=True)
    assert (printed.form.tolist(), printed.num_blocks, printed.objective_s) == ([2, 2], 2, 2.0)
    assert optimum(problem) == 1


def test_7d_in_whole_blocks_the_kv_step_can_sort_before_its_hidden_step() -> None:
    """6 s, 3 blocks, 1 s a block: 3 s for 1.5 blocks, then 3 s for 1.5; in whole blocks, 3 s for 2, then 3 s for 1.

    Sorted by gain per whole block, the second step comes first: it fits in 1 block, and leads to a form of 3 blocks.
    """
    steps = printed_steps([6], [3], Fraction(1), whole=True)
    assert [(step[0] / step[1], step[3]) for step in steps] == [(Fraction(3, 2), 2), (3, 1)]
    worth, _ = prefix(sorted(steps, key=lambda step: -step[0] / step[1]), 1)
    problem = BatchProblem.hybrid([6.0], [3], capacity=1, penalty_s_per_block=1.0)
    assert worth == 3 and optimum(problem) == 0
    assert greedy(problem).form.tolist() == [0]


def test_7e_in_whole_blocks_the_printed_order_loses_the_factor_2() -> None:
    """All fit alone, and even the fallback is right: 12 of 25 s, for half a block counts as one."""
    pending, blocks, capacity = [3, 3, 3, 3, 11, 11], [1, 1, 1, 1, 4, 4], 5
    worth, left_out = prefix(printed_steps(pending, blocks, Fraction(0), whole=True), capacity)
    assert left_out is not None and worth == 12 and left_out[0] == 11
    problem = BatchProblem.hybrid(pending, blocks, capacity, 0.0)
    assert optimum(problem) == 25 > 2 * 12
    assert guarantee_kept(problem, exact_objective(problem, greedy(problem, fill=False).form), optimum(problem))


@pytest.mark.parametrize("seconds", [8, 80, 800])
def test_7f_with_a_second_limit_gain_per_block_has_no_factor(seconds: int) -> None:
    """One sequence: the most efficient request is taken, the next one left out, and the third one is worth all."""
    pending, blocks = [2, 1, seconds], [1, 1, seconds + 1]
    steps = printed_steps(pending, blocks, Fraction(10), whole=True)
    assert [step[2] for step in steps] == [0, 1, 2]
    best_of_both = max(steps[0][0], steps[1][0])  # the prefix of one sequence, and the step left out
    problem = BatchProblem([[float(p)] for p in pending], [[m] for m in blocks], seconds + 3, max_seqs=1)
    assert best_of_both == 2 and optimum(problem) == seconds
    assert exact_objective(problem, greedy(problem, fill=False).form) * 3 >= seconds


def test_7g_with_a_second_limit_the_factor_2_is_out_of_reach_of_one_rounding_and_one_request() -> None:
    """Blocks and tokens bind: 1002 of 3003 s, which is within the factor 3 of two limits and not within 2."""
    size = 1000
    values = [size + 2 + 2**-9, size + 2 + 2**-10, size - 1, size + 2 + 2**-9]
    problem = BatchProblem(
        values=[[value] for value in values],
        weights=[[size + 1], [size], [size], [0]],
        capacity=2 * size,
        num_tokens=[1, 0, 0, 2 * size],
        max_tokens=2 * size,
    )
    assert num_constraints(problem) == 2
    ratio = optimum(problem) / exact_objective(problem, greedy(problem, fill=False).form)
    assert Fraction(299, 100) < ratio <= 3
