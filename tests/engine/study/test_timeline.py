"""The timeline of a run: bounded, whatever its length, and true to what it joins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheForm
from caches import by_form
from engine.study.timeline import MAX_POINTS, Timeline


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)), max_size=100),
    st.sampled_from([1, 11, 60]),
)
def test_the_timeline_is_bounded_and_keeps_its_integral(iterations: list[tuple[int, int, int]], more: int) -> None:
    """However many iterations there are, the block-seconds of both forms stay."""
    iterations = more * iterations
    timeline, now_s = Timeline(), 0
    for duration_s, kv, hidden in iterations:
        timeline.add(now_s, duration_s, by_form(kv=kv, hidden=hidden), 0)
        now_s += duration_s
    points = timeline.points()
    assert len(points) <= MAX_POINTS
    assert [a.end_s for a in points[:-1]] <= [b.start_s for b in points[1:]]
    for form in (CacheForm.KV, CacheForm.HIDDEN):
        total = sum(p.num_blocks_by_form[form] * (p.end_s - p.start_s) for p in points)
        assert total == pytest.approx(sum(it[0] * it[form] for it in iterations))
