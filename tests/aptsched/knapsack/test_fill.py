"""Filling: single moves to better options that still fit, until none does."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.knapsack.fill import fill, room_left
from aptsched.knapsack.residual import Residual, reduce
from references import BY_HAND, serving_like, with_side_constraints
from residuals import fits, residuals, selections, used, worth

FREE = (0.0, 0.0, 0.0)


def filled(residual: Residual, option: list[int], price: tuple[float, float, float] = FREE) -> list[int]:
    given = np.array(option, np.int64)
    better: list[int] = fill(residual, given, room_left(residual, given), price)[0].tolist()
    assert given.tolist() == option, "the selection given is changed"
    return better


@st.composite
def started(draw: st.DrawFn) -> tuple[Residual, list[int], tuple[float, float, float]]:
    """A residual, any selection of it, and any multipliers."""
    residual = draw(residuals(extreme=False))
    option = draw(st.sampled_from(list(selections(residual))))
    price = draw(st.tuples(*[st.sampled_from([0.0, 0.125, 1.0, 7.0])] * 3))
    return residual, list(option), price


@given(residuals())
def test_the_room_left_is_what_the_options_do_not_take(residual: Residual) -> None:
    """Of every limit, and negative where they take more."""
    for f in range(len(residual.gain) + 1):
        option = np.full(len(residual.tokens), f)
        taken = zip(residual.limits, used(residual, option.tolist()), strict=True)
        assert room_left(residual, option) == tuple(limit - amount for limit, amount in taken)


@settings(max_examples=150)
@given(started())
def test_no_single_move_that_fits_is_left(drawn: tuple[Residual, list[int], tuple[float, float, float]]) -> None:
    """From any selection, with any multipliers: feasible, and no request for itself can have a better option."""
    residual, option, price = drawn
    better = filled(residual, option, price)
    assert fits(residual, better)
    room = room_left(residual, np.array(better))
    full = room == (0, math.inf, math.inf)  # memory alone, which is not looked at again for what weighs nothing
    for i, f in product(range(len(residual.tokens)), range(1, len(residual.gain) + 1)):
        moved = [*better[:i], f, *better[i + 1 :]]
        if residual.gain[f - 1, i] > (residual.gain[better[i] - 1, i] if better[i] else 0.0) and fits(residual, moved):
            assert full and used(residual, moved)[0] <= used(residual, better)[0]


@settings(max_examples=150)
@given(started())
def test_nobody_loses(drawn: tuple[Residual, list[int], tuple[float, float, float]]) -> None:
    """Each request has its option still, or one that gains more."""
    residual, option, price = drawn
    for i, (before, after) in enumerate(zip(option, filled(residual, option, price), strict=True)):
        if before != after:
            assert residual.gain[after - 1, i] > (residual.gain[before - 1, i] if before else 0.0)


def test_the_best_for_its_price_comes_first() -> None:
    """Of 3 blocks free, 6 s in 3 or 5 s in 2 and 1 s in 1: 2.5 s a block come before 2 s, and then 1 s fits."""
    residual = reduce(BatchProblem([[6.0], [5.0], [1.0]], [[3], [2], [1]], 3))
    assert filled(residual, [0, 0, 0], (1.0, 0.0, 0.0)) == [0, 1, 1]


def test_tokens_are_paid_for_too() -> None:
    """6 s in a block and 6 tokens, or 5 s in a block and 1 token, of 6 tokens: at a second a token the latter."""
    problem = BatchProblem([[6.0], [5.0]], [[1], [1]], 2, [6, 1], max_tokens=6)
    assert filled(reduce(problem), [0, 0], (0.5, 1.0, 0.0)) == [0, 1]
    assert filled(reduce(problem), [0, 0], (0.5, 0.0, 0.0)) == [1, 0]


def test_a_request_may_move_to_a_heavier_form() -> None:
    """Nine blocks are two more than all four take as hidden states: KV of request 1 needs one, and of request 3 one."""
    residual = reduce(replace(BY_HAND, capacity=9))
    assert filled(residual, [2, 2, 2, 2], (0.5, 0.0, 0.0)) == [2, 1, 2, 1]


def test_it_says_whether_positions_put_moves_in_order() -> None:
    """2 s in a block and 4 s in two are equally good, 5 s in two are better."""
    for heavier, tied in ((4.0, True), (5.0, False)):
        residual = reduce(BatchProblem([[heavier], [2.0]], [[2], [1]], 2))
        assert fill(residual, np.zeros(2, np.int64), (2.0, math.inf, math.inf), (1.0, 0.0, 0.0))[1] is tied


@pytest.mark.parametrize("limits", [False, True])
def test_hundreds_of_requests_from_nothing(limits: bool) -> None:
    """More moves than are looked at in a round; the end is feasible, and nothing that fits is left."""
    problem = serving_like(400, 3)
    residual = reduce(with_side_constraints(problem, 3) if limits else problem)
    nothing = np.zeros(len(residual.tokens), np.int64)
    option, _ = fill(residual, nothing, room_left(residual, nothing), (0.5, 0.01, 0.1))
    blocks, tokens, seqs = room_left(residual, option)
    assert min(blocks, tokens, seqs) >= 0
    idle = option == 0
    fit = idle & (residual.tokens <= tokens) & (residual.seqs <= seqs)
    assert not ((residual.blocks <= blocks) & (residual.gain > 0) & fit).any()
    assert worth(residual, option.tolist()) > 0
