"""Rules of the field where they reduce to a plainer one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.loop.limits import Limits
from simulated import replay_of, simulate

LIMITS = Limits(128, 4, 200)


@pytest.mark.parametrize("name", ["svf", "svf:one_bit", "svf:lengths=true"])
@settings(max_examples=15, deadline=None)
@given(prompt=st.integers(1, 60), output=st.integers(1, 12), gaps=st.lists(st.integers(0, 8), min_size=1, max_size=12))
def test_equal_volumes_are_served_as_by_vllm(name: str, prompt: int, output: int, gaps: list[int]) -> None:
    """Requests of one length have one volume: they are served in order of arrival, token for token as under vLLM v1."""
    arrived_at_s = [sum(gaps[:i]) / 20 for i in range(len(gaps))]
    replay = replay_of([(prompt, output)] * len(gaps), arrived_at_s)
    assert simulate(name, replay, 12, LIMITS).timeline() == simulate("vllm-v1", replay, 12, LIMITS).timeline()


@pytest.mark.parametrize("name", ["priority:num_levels=1", "priority:redrawn=never", "slos-serve"])
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 12)), min_size=1, max_size=10))
def test_where_nothing_tells_requests_apart_the_first_comes_first(name: str, lengths: list[tuple[int, int]]) -> None:
    """With one priority, or where deadlines rise with arrivals and are kept, requests first run as they came."""
    replay = replay_of(lengths, [i / 1000 for i in range(len(lengths))])
    admitted = simulate(name, replay, 400, LIMITS, num_host_blocks=60).admitted()
    assert admitted == sorted(admitted)


def test_jitserve_with_room_for_all_leaves_nobody_out() -> None:
    """Where pool and batch hold all requests, none is swapped or preempted, and all are fed in every iteration."""
    served = simulate("jitserve", replay_of([(20, 30), (40, 10), (60, 50)]), 60, Limits(2048, 8, 200))
    assert not any(len(plan.swap_out) or len(plan.preempt) for plan in served.seen.plans)
    assert all(
        len(plan.request) == len(v.request_id) for v, plan in zip(served.seen.views, served.seen.plans, strict=True)
    )
