"""Priorities, groups of like lengths and frames of JITServe, by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.policies.jitserve import JITServe, heaviest, met
from aptsched.scheduling.view import View
from ended import ended
from simulated import replay_of, simulate
from views import Seen, running, view_of


def test_a_gain_counts_by_the_share_of_the_deadline() -> None:
    """All of it until the deadline, half of it at twice that."""
    assert met(np.array([10.0, 10.0]), np.array([9.0, 20.0])).tolist() == [1.0, 0.5]


@given(worth=st.lists(st.integers(0, 9), min_size=1, max_size=12), count=st.integers(1, 12))
def test_neighbours_that_are_worth_most_are_found(worth: list[int], count: int) -> None:
    """As by looking at all of them."""
    found = heaviest(np.array(worth, np.float64), count).tolist()
    if count >= len(worth):
        assert found == list(range(len(worth)))
        return
    sums = [sum(worth[at : at + count]) for at in range(len(worth) - count + 1)]
    assert found == list(range(sums.index(max(sums)), sums.index(max(sums)) + count))


def test_who_meets_its_objective_comes_before_who_is_late() -> None:
    """Of two alike, with room for one: one that has waited for 2000 s, and one that came just now."""
    view = view_of([Seen(60), Seen(60, arrived_at_s=2000.0)], num_blocks=5, now_s=2000.0)
    assert JITServe().decide(view).request.tolist() == [1]


def test_short_outputs_are_served_for_the_time_that_they_take() -> None:
    """The gain of a token is the same; that of a long prompt comes on top: with room for one, 60 before 5 tokens."""
    view = view_of([Seen(5), Seen(60)], num_blocks=4)
    assert JITServe().decide(view).request.tolist() == [1]


def test_between_two_frames_nobody_has_to_leave() -> None:
    """A request that would be chosen waits until the frame ends, and the one that runs goes on meanwhile."""
    policy, chosen = JITServe(frame=3), []
    for count in range(4):
        plan = policy.decide(late_one_and_another(5000.0 + 0.02 * count))
        chosen.append((plan.request.tolist(), plan.swap_out.tolist()))
    assert chosen == [([1], [0]), ([0], []), ([0], []), ([1], [0])]


def test_what_costs_more_to_restore_than_a_frame_is_worth_stays() -> None:
    """At 0.1 ms a token 159 tokens take 16 ms to compute anew, of a frame of one iteration of 20 ms."""
    assert JITServe(frame=1).decide(late_one_and_another(5000.0)).swap_out.tolist() == []


def late_one_and_another(now_s: float) -> View:
    """One that runs and misses all its objectives, and one that came at 5000 s; the pool has room for one of them."""
    late = running(60, 100, slo_tpot_s=0.001, slo_ttft_s=0.001)
    return view_of([late, Seen(60, arrived_at_s=5000.0)], num_blocks=12, num_host_blocks=40, now_s=now_s)


def test_bounds_are_refined_as_requests_generate() -> None:
    """Of outputs of 10 and 500 tokens the bound is 500; a running request's bound only changes every 50 tokens."""
    policy = JITServe(quantile=0.5)
    for length in (10,) * 15 + (500,) * 5:
        policy.on_record(ended(60, length))
    priorities = [policy._priority(view_of([running(60, count)])).item() for count in (9, 12, 49, 50, 51)]
    assert policy._outputs.quantile(np.array([60]), np.array([0]), 0.5).item() == 10
    assert priorities[1] < priorities[2] and priorities[3] < priorities[2]


def test_frames_measure_iterations() -> None:
    """Two frames of two iterations of 0.03 s: the mean of them and of the 0.02 s that were believed at first."""
    policy = JITServe(frame=2)
    for count in range(5):
        policy.decide(view_of([running(60, 1 + count)], now_s=0.03 * count))
    assert policy._iteration_s == pytest.approx((0.02 + 0.03 + 0.03) / 3)


def test_swaps_come_with_frames() -> None:
    """Thirty requests over a pool for eight: all that leave for others do so when a frame begins, or blocks run out."""
    served = simulate("jitserve:frame=10", replay_of([(60, 60)] * 30), 60, num_host_blocks=400)
    assert [len(record.token_at_s) for record in served.records] == [60] * 30
    at = [number for number, plan in enumerate(served.seen.plans) if len(plan.swap_out)]
    assert at and all(second > first for first, second in pairwise(at))
    for number in at:
        view, plan = served.seen.views[number], served.seen.plans[number]
        newly = ~view.running[plan.request]
        assert number % 10 == 0 or not newly.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": 0}, "frame: 0 is not accepted; 1 to"),
        ({"refresh": 1.5}, "refresh: 1.5 is not accepted"),
        ({"cutoff": 0.0}, "cutoff: 0.0 is not accepted; a share"),
        ({"quantile": 2.0}, "quantile: 2.0 is not accepted"),
    ],
)
def test_bad_options_are_refused(options: dict[str, float], message: str) -> None:
    """By one message with field, value and what is accepted."""
    with pytest.raises(InputError, match=message):
        JITServe(**options)  # type: ignore[arg-type]
