"""Increments are the upper hull of each request's options, held against its definition in fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.knapsack.increments import WEIGHTLESS, Steps, increments

Table = list[list[int]]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, Table]:
    """Gains, some not on offer, and weights, some of no blocks, of one to four options for one to five requests."""
    k, n = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    gain, weight = (
        draw(st.lists(st.lists(entry, min_size=n, max_size=n), min_size=k, max_size=k))
        for entry in (st.integers(-3, 12), st.integers(0, 9))
    )
    return gain, weight


def of(gain: Table, weight: Table) -> Steps:
    return increments(np.array(gain, np.float64), np.array(weight, np.int64))


def path(steps: Steps, request: int, num_requests: int) -> list[tuple[int, float, float]]:
    """Option that each step of a request leads to, its slope, and what it adds; where there is no step, nothing."""
    (slope, weight, option), found = steps, []
    for at in range(request, len(slope), num_requests):
        if slope[at] > 0:
            found.append((int(option[at]), float(slope[at]), float(weight[at])))
    return found


def test_three_options_by_hand() -> None:
    """6 s for 2 blocks, 9 s for 5 (1 s a block more), and 7 s for 4, where the line between them is at 8 s."""
    steps = of([[9], [7], [6]], [[5], [4], [2]])
    assert path(steps, 0, 1) == [(3, 3.0, 2.0), (1, 1.0, 3.0)]


@settings(max_examples=250)
@given(tables())
def test_steps_lead_along_the_upper_hull(table: tuple[Table, Table]) -> None:
    """From option to option by falling slope, to the most valuable one; none of a request's is above the line."""
    gain, weight = table
    steps, n = of(gain, weight), len(gain[0])
    for request in range(n):
        options = [(0, 0), *((row[request], w[request]) for row, w in zip(gain, weight, strict=True))]
        corners, slopes = [options[0]], []
        for option, slope, added in path(steps, request, n):
            (before, held), corner = corners[-1], options[option]
            assert added == corner[1] - held
            assert slope == pytest.approx((corner[0] - before) / (added or WEIGHTLESS), rel=1e-15)
            corners.append(corner)
            slopes.append(slope)
        assert slopes == sorted(slopes, reverse=True)
        assert corners[-1][0] == max(value for value, _ in options)
        assert corners[-1][1] == min(blocks for value, blocks in options if value == corners[-1][0])
        assert all(value <= on_the_line(corners, blocks) for value, blocks in options)


def on_the_line(corners: list[tuple[int, int]], blocks: int) -> Fraction:
    """The most that is to be had for so many blocks between the corners."""
    reached = [Fraction(value) for value, held in corners if held <= blocks]
    for (low, held), (high, more) in pairwise(corners):
        if held < blocks < more:
            reached.append(low + Fraction(high - low, more - held) * (blocks - held))
    return max(reached)


NEAR = st.builds(
    math.ldexp, st.integers(1, 12) | st.integers(2**53 - 3, 2**53 - 1), st.integers(-1074, -1064) | st.integers(0, 2)
)  # gains whose slopes are rounded to the same, or to almost nothing


@settings(max_examples=500)
@given(st.data(), st.integers(1, 4))
def test_slopes_that_are_rounded_to_the_same_lead_to_the_most_valuable(data: st.DataObject, k: int) -> None:
    """In the fewest blocks, as where slopes are exact, so that it is taken where all fit."""
    gain = data.draw(st.lists(NEAR, min_size=k, max_size=k))
    weight = data.draw(st.lists(st.integers(0, 3) | st.integers(2**26 - 2, 2**26 + 2), min_size=k, max_size=k))
    option, _, _ = path(increments(np.array(gain)[:, None], np.array(weight)[:, None]), 0, 1)[-1]
    assert gain[option - 1] == max(gain)
    assert weight[option - 1] == min(w for value, w in zip(gain, weight, strict=True) if value == max(gain))


@given(tables())
def test_each_request_has_the_hull_that_it_has_alone(table: tuple[Table, Table]) -> None:
    """Whatever the others have."""
    gain, weight = table
    n = len(gain[0])
    for request in range(n):
        alone = of([[row[request]] for row in gain], [[row[request]] for row in weight])
        assert path(of(gain, weight), request, n) == path(alone, 0, 1)


@pytest.mark.parametrize("gain", [[[0.0]], [[-1.0], [0.0]], [[0.0], [-2.0], [0.0]]])
def test_who_is_offered_nothing_has_no_step(gain: list[list[float]]) -> None:
    """Options that gain nothing lead nowhere, at any weight."""
    for weight in (0, 3):
        slope, _, _ = increments(np.array(gain), np.full((len(gain), 1), weight))
        assert not any(slope)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_what_weighs_nothing_comes_before_all_that_weighs(k: int) -> None:
    """A second in no blocks has a steeper slope than a million seconds in one."""
    weight = [[0, 1], [2, 2], [3, 3]][:k]
    slope, added, _ = of([[1, 10**6], [0, 0], [0, 0]][:k], weight)
    assert slope[0] > slope[1] and added[0] == 0
