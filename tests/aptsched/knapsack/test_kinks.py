"""Kinks along an edge, held against the upper envelope of each request's lines in fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.knapsack.kinks import Kinks, beyond, crossing, next_kinks
from aptsched.support.checks import Floats, Ints

FLAT = 0.5  # slopes here are whole, so that this tells any two apart


@st.composite
def lines(draw: st.DrawFn) -> tuple[Floats, Floats, Ints]:
    """Heights and slopes of two to four lines for one to five requests, and a highest line of each at the start."""
    num_options, n = draw(st.integers(2, 4)), draw(st.integers(1, 5))
    entries = st.lists(st.lists(st.integers(-9, 9), min_size=n, max_size=n), min_size=num_options, max_size=num_options)
    height, slope = (np.array(draw(entries), np.float64) for _ in range(2))
    return height, slope, height.argmax(axis=0)


def envelope(height: Floats, slope: Floats, request: int, option: int) -> tuple[Fraction | float, int]:
    """How far off the line is first met by one of lower slope, and that slope; inf where none is lower."""
    now, rate = int(height[option, request]), int(slope[option, request])
    meetings = [
        (Fraction(now - int(other), rate - int(lower)), int(lower))
        for other, lower in zip(height[:, request], slope[:, request], strict=True)
        if lower < rate
    ]
    return min(meetings, default=(math.inf, rate))


def test_two_requests_by_hand() -> None:
    """5 - 2 t meets 3 - t at 2, and -t at 5; beside 4 - t there are 5 - 3 t and 1 - t, none of which is flatter."""
    height, slope = np.array([[5.0, 4.0], [3.0, 5.0], [0.0, 1.0]]), np.array([[2.0, 1.0], [1.0, 3.0], [1.0, 1.0]])
    kinks = next_kinks(height, slope, np.array([0, 0]), np.array([0, 1]), FLAT)
    assert kinks.distance.tolist() == [2.0, math.inf]
    assert (kinks.option[0], kinks.drop[0]) == (1, 1.0)


@settings(max_examples=250)
@given(lines())
def test_the_next_kink_is_where_a_flatter_line_takes_over(drawn: tuple[Floats, Floats, Ints]) -> None:
    """At the nearest meeting, with one of the lines that meet there, and by how much less it falls."""
    height, slope, option = drawn
    n = len(option)
    kinks = next_kinks(height, slope, option, np.arange(n), FLAT)
    for i in range(n):
        distance, _ = envelope(height, slope, i, int(option[i]))
        assert kinks.distance[i] == float(distance)
        if distance < math.inf:
            to = int(kinks.option[i])
            assert kinks.drop[i] == slope[option[i], i] - slope[to, i] > 0
            met = Fraction(int(height[option[i], i] - height[to, i]), int(kinks.drop[i]))
            assert met == distance


@settings(max_examples=250)
@given(lines(), st.integers(1, 12))
def test_kinks_beyond_go_on_along_the_envelope(drawn: tuple[Floats, Floats, Ints], last: int) -> None:
    """From the option that a request has changed to, in order, and none after the last one to be passed."""
    height, slope, option = drawn
    first = next_kinks(height, slope, option, np.arange(len(option)), FLAT)
    seen = np.flatnonzero(first.distance < last)
    more = beyond(height, slope, first, seen, FLAT, float(last))
    expected = {}
    for i in seen.tolist():
        distance, lower = envelope(height, slope, i, int(first.option[i]))
        if distance < last:
            expected[i] = (max(float(distance), first.distance[i]), slope[first.option[i], i] - lower)
    found = {} if more is None else dict(zip(more.request.tolist(), more.distance.tolist(), strict=True))
    assert found == {i: distance for i, (distance, _) in expected.items()}


@settings(max_examples=250)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5)), min_size=1, max_size=10),
    st.integers(1, 40),
    st.integers(1, 8),
)
def test_the_crossing_is_where_the_drops_reach_the_need(pairs: list[tuple[int, int]], need: int, end: int) -> None:
    """In order of distance; what lies before it is passed, and all before the end where they never do."""
    distance, drop = np.array(pairs, np.float64).T.copy()
    position = np.arange(len(pairs))
    passed, first = crossing(Kinks(distance, drop, position, position), float(need), float(end))
    order = [i for i in np.argsort(distance, kind="stable").tolist() if distance[i] < end]
    sums = np.cumsum(drop[order])
    reached = next((at for at, total in enumerate(sums.tolist()) if total >= need), None)
    assert first == (None if reached is None else order[reached])
    assert passed.tolist() == sorted(order[:reached])
