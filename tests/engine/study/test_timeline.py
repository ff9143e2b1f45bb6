"""The timeline of a run: bounded, whatever its length, and true to what it joins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheForm
from caches import by_form
from engine.study.timeline import MAX_POINTS, Timeline


def add(
    timeline: Timeline, start_s: float, duration_s: float, blocks: tuple[int, ...], scheduling_s: float = 0.0
) -> None:
    """Adds an iteration in which nobody waits."""
    block_s = (duration_s * count for count in blocks)
    timeline.add_many(
        np.array([start_s]), np.array([[0.0], [duration_s], [scheduling_s], *([held] for held in block_s)])
    )


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)), max_size=100),
    st.sampled_from([1, 11, 60]),
)
def test_the_timeline_is_bounded_and_keeps_its_integral(iterations: list[tuple[int, int, int]], more: int) -> None:
    """However many iterations there are, the block-seconds of both forms stay."""
    iterations = more * iterations
    timeline, now_s = Timeline(), 0
    for duration_s, kv, hidden in iterations:
        add(timeline, now_s, duration_s, by_form(kv=kv, hidden=hidden))
        now_s += duration_s
    points = timeline.points()
    assert len(points) <= MAX_POINTS
    assert [a.end_s for a in points[:-1]] <= [b.start_s for b in points[1:]]
    assert all(point.gap is None for point in points)
    for form in (CacheForm.KV, CacheForm.HIDDEN):
        total = sum(p.num_blocks_by_form[form] * (p.end_s - p.start_s) for p in points)
        assert total == pytest.approx(sum(it[0] * it[form] for it in iterations))


def test_a_point_has_the_largest_gap_and_the_mean_time_of_scheduling() -> None:
    """Of 1,000 iterations a point has two: decisions of iteration 7, and of 20 to 22, count in the points of these."""
    timeline = Timeline()
    for number in range(1000):
        add(timeline, number, 1.0, by_form(kv=1), scheduling_s=number)
        if number == 8:
            timeline.add_gap(7, 0.5, 1)
        if number == 22:
            timeline.add_gap(20, 0.25, 3)
    timeline.add_gap(999, 0.125, 1)
    points = timeline.points()
    assert {at: point.gap for at, point in enumerate(points) if point.gap is not None} == {
        3: 0.5,
        10: 0.25,
        11: 0.25,
        499: 0.125,
    }
    assert [point.scheduling_s for point in points] == [2 * at + 0.5 for at in range(500)]
