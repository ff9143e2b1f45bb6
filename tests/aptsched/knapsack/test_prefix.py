"""Runs by falling slope that fit, held against a loop over the sorted increments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.knapsack.increments import Steps, increments, take
from aptsched.support.checks import Floats, Ints


@dataclass(frozen=True)
class Run:
    """What is taken: option of each request; request and option of the first left out; what is left; any ties."""

    chosen: list[int]
    left_out: tuple[int, int] | None
    room: int
    tied: bool


def taken(gain: Floats, weight: Ints, room: int, refill: bool) -> Run:
    chosen = np.zeros(len(gain[0]), np.int64)
    request, option, slope, left, tied = take(gain, weight, gain[0], room, refill, chosen)
    return Run(chosen.tolist(), (request, option) if slope > 0 else None, left, tied)


def ordered(steps: Steps, value: Floats) -> list[int]:
    """Positions by falling slope, first steps first, then by falling value, then in order."""
    slope, n = steps[0], len(value)
    some = [at for at in range(len(slope)) if slope[at] > 0]
    return sorted(some, key=lambda at: (-slope[at], at // n, -value[at % n], at))


def expected(steps: Steps, value: Floats, room: int, refill: bool) -> Run:
    """The same by sorting all: the run, then rounds of what is next in its request as the round begins and fits."""
    n, order, (_, weight, option) = len(value), ordered(steps, value), steps
    num_taken, left_out = [0] * n, -1
    for at in order:
        if weight[at] > room:
            left_out = at
            break
        room -= int(weight[at])
        num_taken[at % n] += 1
    before = room + 1
    while refill and left_out >= 0 and 0 < room < before:
        before, following = room, [at for at in order if at // n == num_taken[at % n]]
        for at in following:
            if weight[at] <= room and room > 0:
                room -= int(weight[at])
                num_taken[at % n] += 1
    first = None if left_out < 0 else (left_out % n, int(option[left_out]))
    chosen = [int(option[(count - 1) * n + i]) if count else 0 for i, count in enumerate(num_taken)]
    return Run(chosen, first, room, False)


def check(gain: Floats, weight: Ints, room: int) -> None:
    for refill in (False, True):
        found = taken(gain, weight, room, refill)
        assert replace(found, tied=False) == expected(increments(gain, weight), gain[0], room, refill)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Floats, Ints]:
    """Gains and weights, [k, n], with many ties."""
    k, n = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.integers(-1, 12, (k, n)).astype(np.float64), rng.integers(0, 9, (k, n))


@settings(max_examples=300)
@given(tables(), st.integers(0, 40))
def test_few_increments(table: tuple[Floats, Ints], room: int) -> None:
    """With ties, options that are not offered, and weights of nothing."""
    gain, weight = table
    check(gain, weight, room)


@pytest.mark.parametrize("slopes", ["any", "equal", "wide", "one steep"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.97, 2.0])
@pytest.mark.parametrize("k", [1, 2])
def test_many_increments(k: int, share: float, slopes: str) -> None:
    """Pivots save work and change nothing, also where nearly all are equal, or where slopes span many octaves."""
    rng = np.random.default_rng(k)
    weight = np.sort(rng.integers(1, 40, (k, 700)), axis=0)[::-1]
    each = {"any": rng.random(700), "equal": np.ones(700), "wide": np.exp(rng.uniform(-90, 9, 700))}
    each["one steep"] = np.where(np.arange(700) == 350, 1e9, rng.random(700))
    gain = weight**0.5 * each[slopes]
    check(gain, np.ascontiguousarray(weight), int(share * weight.sum()))


def test_what_is_taken_after_the_run_is_the_best_for_its_weight() -> None:
    """After 6 s in 2 of 5 blocks 8 s in 4 do not fit; of 2 s in 2 and 2 s in 3, which do, the steeper is taken."""
    gain = np.array([[6.0, 8.0, 2.0, 2.0]])
    found = taken(gain, np.array([[2, 4, 3, 2]]), 5, True)
    assert found == Run([1, 0, 0, 1], (1, 1), 1, False)


def test_a_step_is_not_taken_without_those_before_it() -> None:
    """Of 5 blocks the 8 of the first step are too many; its second would need only one."""
    gain = np.array([[11.0], [10.0]])
    assert taken(gain, np.array([[9], [8]]), 5, True) == Run([0], (0, 2), 5, False)


def test_all_steps_of_a_request_may_follow_one_another() -> None:
    """After a request that is too heavy, three of a block each: 9, 8 and 7 s more."""
    gain = np.array([[99.0, 24.0], [99.0, 17.0], [99.0, 9.0]])
    found = taken(gain, np.array([[11, 3], [11, 2], [11, 1]]), 10, True)
    assert found == Run([0, 1], (0, 1), 7, False)


def test_of_equal_slopes_the_larger_value_comes_first() -> None:
    """2 s in a block or 4 s in two: the second is taken, and no position had to tell."""
    gain, weight = np.array([[2.0, 4.0]]), np.array([[1, 2]])
    assert taken(gain, weight, 2, False) == Run([0, 1], (0, 1), 0, False)


@pytest.mark.parametrize("refill", [False, True])
def test_it_says_whether_positions_put_equal_ones_in_order(refill: bool) -> None:
    """Of three alike one is taken; with room for all there is nothing to put in order."""
    gain, weight = np.array([[3.0, 3.0, 3.0]]), np.array([[2, 2, 2]])
    assert taken(gain, weight, 3, refill).tied and not taken(gain, weight, 6, refill).tied
