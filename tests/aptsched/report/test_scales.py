"""Axes: where values lie, and where ticks are."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from aptsched.report.page.request_figures import LEAST_S, MAX_POINTS, spread
from aptsched.report.page.scales import Axis, linear_ticks

VALUES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20)


@given(VALUES, st.booleans(), st.booleans())
def test_values_lie_in_order_between_the_ends(values: list[float], is_log: bool, is_padded: bool) -> None:
    """On a plain and on a logarithmic axis; all values, whatever they are, lie within."""
    scale = Axis("x", is_log, is_padded=is_padded).scale(values, 50, 350)
    places = [scale.px(value) for value in sorted(values)]
    assert places == sorted(places) and all(50 - 1e-6 <= place <= 350 + 1e-6 for place in places)
    near = 1e-8 * (scale.high - scale.low)
    assert all(scale.low - near <= tick <= scale.high + near for tick in scale.ticks())


@given(VALUES)
def test_a_logarithmic_axis_has_several_ticks(values: list[float]) -> None:
    """At least two, by which its values can be read, however near each other they are, and no more than eight."""
    ticks = Axis("x", is_log=True).scale(values, 50, 350).ticks()
    assert 2 <= len(ticks) <= 8 and all(tick > 0 for tick in ticks)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_few_and_even(low: float, width: float, most: int) -> None:
    """At most one more than asked for, at least one, a step apart that is 1, 2, 2.5 or 5 times a power of ten."""
    ticks = linear_ticks(low, low + width, most)
    assert len(ticks) <= most + 1
    steps = {round((b - a) / (ticks[1] - ticks[0]), 3) for a, b in itertools.pairwise(ticks)}
    assert steps <= {1.0}


@given(st.lists(st.floats(-5, 1e4), max_size=400), st.integers(0, 50))
def test_a_spread_ends_at_the_share_that_has_a_value(values: list[float], num_others: int) -> None:
    """Few points, rising, each true: that share of all has at most that value."""
    points = spread(values, len(values) + num_others)
    assert len(points) <= MAX_POINTS + 1 and points == sorted(points) and bool(points) == bool(values)
    for value, share in points[-1:] + points[:1]:
        held = sum(max(each, LEAST_S) <= value for each in values)
        assert share <= held / (len(values) + num_others) + 1e-12
    assert not points or points[-1][1] == len(values) / (len(values) + num_others)
