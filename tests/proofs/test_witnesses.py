"""z3 finds instances on which the printed claims fail, and none on which the greedy misses half of the optimum."""

from __future__ import annotations

from fractions import Fraction

import pytest

from aptsched import BatchProblem, greedy
from brute_force import check_selection, enumerate_all, exact_objective, guarantee_kept
from proofs import witnesses

WITNESSES = {
    name: getattr(witnesses, name)
    for name in (
        *("misfit_fallback", "misfit_in_front", "half_blocks", "steps_out_of_order", "whole_blocks", "second_limit"),
    )
}


@pytest.mark.parametrize("name", WITNESSES)
def test_our_greedy_keeps_its_word_on_each(name: str) -> None:
    """Feasible, within its factor, certified."""
    problem: BatchProblem = WITNESSES[name]()
    best = enumerate_all(problem).optimum
    assert best is not None
    for fill in (False, True):
        assert guarantee_kept(problem, check_selection(problem, greedy(problem, fill=fill)), best)


@pytest.mark.parametrize("name", ["misfit_fallback", "misfit_in_front", "half_blocks"])
def test_algorithm_1_as_printed_breaks_the_capacity(name: str) -> None:
    """(7a), (7b), (7c): the answer takes more blocks than there are."""
    problem: BatchProblem = WITNESSES[name]()
    assert greedy(problem, printed=True).num_blocks > problem.capacity


def test_a_kv_step_comes_before_its_hidden_step() -> None:
    """(7d): in halves the slopes fall, in whole blocks they rise; the second step alone fits, and its form does not."""
    problem = witnesses.steps_out_of_order()
    (kv, hidden), (all_blocks, half) = problem.values[0].tolist(), problem.weights[0].tolist()
    assert 2 * hidden / all_blocks >= 2 * (kv - hidden) / all_blocks
    assert (kv - hidden) / (all_blocks - half) > hidden / half
    assert all_blocks - half <= problem.capacity < all_blocks


def test_the_printed_order_misses_half_in_whole_blocks() -> None:
    """(7e): by gain per half block, whole blocks taken while they fit, or the first that does not."""
    problem = witnesses.whole_blocks()
    free, worth, alone = problem.capacity, 0.0, 0.0
    for i in sorted(range(problem.num_requests), key=lambda i: -problem.values[i, 0] / problem.weights[i, 0]):
        if problem.weights[i, 1] > free:
            alone = float(problem.values[i, 0])
            break
        free, worth = free - int(problem.weights[i, 1]), worth + float(problem.values[i, 0])
    best = enumerate_all(problem).optimum
    assert best is not None and best > 2 * Fraction(max(worth, alone)) > 0
    assert (problem.weights[:, 0] <= problem.capacity).all()


def test_gain_per_block_misses_half_under_a_second_limit() -> None:
    """(7f): of one sequence, the first or the second by gain per block, and the third is the optimum."""
    problem = witnesses.second_limit()
    gain = (problem.values[:, 0] / problem.weights[:, 0]).tolist()
    assert gain == sorted(gain, reverse=True)
    best = enumerate_all(problem)
    assert best.form is not None and best.form.tolist() == [0, 0, 1]
    assert best.optimum is not None and best.optimum > 2 * max(problem.values[:2, 0].tolist())
    assert exact_objective(problem, greedy(problem, fill=False).form) * 3 >= best.optimum


def test_half_is_kept_by_one_request() -> None:
    """Of two forms with real values and weights."""
    assert witnesses.half_is_kept(1)


@pytest.mark.slow
def test_half_is_kept_by_two_requests() -> None:
    """Of two forms each, with real values and weights."""
    assert witnesses.half_is_kept(2)


def test_half_is_missed_without_the_fallback() -> None:
    """So that it is the fallback that keeps it, and the question has teeth."""
    assert not witnesses.half_is_kept(2, fallback=False)
