"""Runs by falling key that fit, held against a loop over the sorted keys."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.knapsack.hull import increments
from aptsched.knapsack.prefix import HALF, MANY, STRIDE, descending, largest, split, take_more
from aptsched.support.checks import Floats, Ints

SEEDS = st.integers(0, 2**32)


def ordered(key: Floats, floor: float = -math.inf) -> list[int]:
    """Positions by falling key, equal ones in order, of those above the floor."""
    return sorted((i for i in range(len(key)) if key[i] > floor), key=lambda i: -key[i])


def check_split(key: Floats, weight: Floats, floor: float, room: float) -> None:
    """The run is the longest of which the weights stay below the room."""
    run: list[int] = []
    order, total = ordered(key, floor), 0.0
    for position in order:
        if total + weight[position] >= room:
            break
        run.append(position)
        total += weight[position]
    found = split(key, weight, floor, room)
    assert np.flatnonzero(found.taken).tolist() == sorted(run)
    assert found.room == room - total
    assert found.next_ones.tolist() == order[len(run) :][: len(found.next_ones)]
    assert bool(len(found.next_ones)) == (len(run) < len(order))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 45))
def test_the_largest_keys_are_those_that_a_sort_puts_first(keys: list[int], count: int) -> None:
    """Equal ones in order of position, however few of many are asked for."""
    key = np.array(keys, np.float64)
    assert descending(key).tolist() == ordered(key)
    assert largest(key, count).tolist() == ordered(key)[:count]


def test_five_keys_by_hand() -> None:
    """Of 2, 3 and 1 blocks by falling key 2 and 3 stay below 6; the next is left out, and so is all after it."""
    found = split(np.array([1.0, 9.0, 0.0, 5.0, 7.0]), np.array([1.0, 2.0, 1.0, 1.0, 3.0]), 0.0, 6.0)
    assert np.flatnonzero(found.taken).tolist() == [1, 4]
    assert (found.next_ones.tolist(), found.room) == ([3, 0], 1.0)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(-2, 6), st.integers(0, 4)), min_size=1, max_size=12), st.integers(0, 30))
def test_the_split_of_few(pairs: list[tuple[int, int]], room: int) -> None:
    """With ties, keys that are not above the floor, and weights of nothing."""
    key, weight = np.array(pairs, np.float64).T.copy()
    check_split(key, weight, 0.0, room + HALF)


@pytest.mark.parametrize("order", ["any", "falling", "rising", "equal", "sample high", "sample light", "sample heavy"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.97, 2.0])
@pytest.mark.parametrize("n", [MANY, MANY + 1, 2000])
def test_the_split_of_many(n: int, share: float, order: str) -> None:
    """The sample of the keys saves work and changes nothing, also where it says nothing of the others."""
    rng = np.random.default_rng(n)
    key, weight = rng.integers(-50, 500, n).astype(np.float64), rng.integers(0, 9, n).astype(np.float64)
    if order in ("falling", "rising"):
        key = np.sort(key)[:: -1 if order == "falling" else 1].copy()
    elif order == "equal":
        key[:] = 3.0
    elif order == "sample high":
        key[::STRIDE] += 1000
        weight[::STRIDE] = 0
    elif order != "any":
        key = np.sort(key)[::-1].copy()
        weight[::STRIDE] = 0 if order == "sample light" else 100
    check_split(key, weight, 0.0, float(int(share * weight.sum())) + HALF)


@st.composite
def tables(draw: st.DrawFn, least: int) -> tuple[Floats, Ints]:
    """Gains and weights, [k, n]."""
    k, n = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(SEEDS))
    return rng.integers(-1, 12, (k, n)).astype(np.float64), rng.integers(least, 9, (k, n))


@settings(max_examples=200)
@given(tables(least=0), st.integers(0, 20))
def test_what_is_taken_after_the_split_fits_and_stands_on_what_was(table: tuple[Floats, Ints], room: int) -> None:
    """Nothing is given back, no second step comes before its first, and the room left is what is said."""
    gain, weight = table
    steps, n = increments(gain, weight), gain.shape[1]
    found = split(steps.slope, steps.weight, 0.0, room + HALF)
    before = found.taken.copy()
    left = take_more(steps, found, n)
    by_step = found.taken.reshape(-1, n)
    assert (found.taken >= before).all() and (steps.slope[found.taken] > 0).all()
    assert all((later <= first).all() for first, later in pairwise(by_step))
    assert left == room - round(float(steps.weight[found.taken].sum())) >= 0


@settings(max_examples=200)
@given(tables(least=1), st.integers(0, 20))
def test_nothing_that_still_fits_is_left(table: tuple[Floats, Ints], room: int) -> None:
    """Every step that could come next in its request weighs more than the room that is left."""
    gain, weight = table
    steps, n = increments(gain, weight), gain.shape[1]
    found = split(steps.slope, steps.weight, 0.0, room + HALF)
    left = take_more(steps, found, n)
    could = ~found.taken & (steps.slope > 0)
    could[n:] &= found.taken[:-n] if len(could) > n else could[n:]
    assert (steps.weight[could] > left).all()


def test_what_is_taken_after_the_split_is_the_best_for_its_weight() -> None:
    """After 6 s in 2 of 5 blocks 8 s in 4 do not fit; of 2 s in 2 and 2 s in 3, which do, the steeper is taken."""
    steps = increments(np.array([[6.0, 8.0, 2.0, 2.0]]), np.array([[2, 4, 3, 2]]))
    found = split(steps.slope, steps.weight, 0.0, 5 + HALF)
    assert take_more(steps, found, 4) == 1
    assert np.flatnonzero(found.taken).tolist() == [0, 3]


def test_a_step_is_not_taken_without_those_before_it() -> None:
    """Of 5 blocks the 8 of the first step are too many; its second would need only one."""
    steps = increments(np.array([[11.0], [10.0]]), np.array([[9], [8]]))
    found = split(steps.slope, steps.weight, 0.0, 5 + HALF)
    assert take_more(steps, found, 1) == 5
    assert not found.taken.any()


def test_all_steps_of_a_request_may_follow_one_another() -> None:
    """After a request that is too heavy, three of a block each: 9, 8 and 7 s more."""
    steps = increments(np.array([[99.0, 24.0], [99.0, 17.0], [99.0, 9.0]]), np.array([[11, 3], [11, 2], [11, 1]]))
    found = split(steps.slope, steps.weight, 0.0, 10 + HALF)
    assert found.next_ones[0] == 0
    assert take_more(steps, found, 2) == 7
    assert found.taken.reshape(-1, 2).tolist() == [[False, True]] * 3
