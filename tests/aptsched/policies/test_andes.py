"""Andes: who is served where memory is scarce."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aptsched.policies.andes import Andes, take_in_order
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import SLO
from engine.loop.limits import Limits
from engine.study.replay import Replay
from simulated import replay_of, replays, simulate
from views import Seen, running, view_of

INSTANT = IterationTime()


@settings(max_examples=25, deadline=None)
@given(replay=replays())
def test_with_memory_to_spare_it_is_fcfs(replay: Replay) -> None:
    """Below the pressure nobody competes: the same tokens come at the same times."""
    first, second = (
        simulate(name, replay, 2000, Limits(128, 4, 100)).timeline() for name in ("andes:period=1", "fcfs")
    )
    assert repr(first) == repr(second)


def test_gains_by_hand() -> None:
    """At 10 s, with a horizon of 10 s and a token a second, 20 tokens could be read by then of what came at 0 s.

    One that waits without a token and is due at 1 s: (10 / 20)^2 if it is served, 0 if not. One due at 30 s loses
    nothing. One that runs, has 15 tokens and had its last before it was due: 1 if served, 1 - (5 / 20)^2 if not, and
    runs, which counts half more. One that waits with 4 tokens, the last one late: (14 / 20)^2 against 1 - (16 / 20)^2.
    """
    requests = [
        Seen(10),
        Seen(10, slo_ttft_s=30.0),
        running(10, 15),
        Seen(10, 4, last_token_at_s=9.0),
    ]
    gains = Andes(horizon_s=10.0).gains(view_of(requests, times=INSTANT))
    assert gains.tolist() == pytest.approx([0.25, 0.25 - 1, 1.5 / 16, 0.49 - 0.36])


def test_a_token_takes_its_predicted_time() -> None:
    """Two seconds a token, in place of one: of the horizon of 10 s come 5 tokens."""
    slow = IterationTime(fixed_s=2.0)
    gains = Andes(horizon_s=10.0).gains(view_of([Seen(10), running(10, 5)], times=slow))
    assert gains[0] == pytest.approx((5 / 20) ** 2)


def test_the_greedy_skips_who_does_not_fit_until_nine_tenths_are_taken() -> None:
    """Of a room of 20: 12, not 9, then 7 make 19; the next misfit ends it, though 1 would still fit behind."""
    taken = np.zeros(5, np.bool_)
    take_in_order(np.array([0, 1, 2, 3, 4]), np.array([12, 9, 7, 2, 1]), 20, taken)
    assert taken.tolist() == [True, False, True, False, False]


def test_under_pressure_who_gains_more_takes_the_place() -> None:
    """The two that run are far ahead of their readers; of those who wait the small one and then the larger one fit.

    Both are preempted, as each gains less, and the one that came last is admitted first for its gain by block.
    """
    ahead = [running(60, 40, arrived_at_s=9.0, last_token_at_s=9.5) for _ in range(2)]
    view = view_of([*ahead, Seen(90), Seen(16)], num_blocks=14, times=INSTANT)
    plan = Andes(period=1, horizon_s=5.0).decide(view)
    assert plan.preempt.tolist() == [0, 1] and plan.request.tolist() == [3, 2]
    assert Andes(period=2, horizon_s=5.0).decide(view).preempt.tolist() == []


@pytest.mark.parametrize(("most", "preempted"), [(0, []), (1, [0])])
def test_no_more_are_preempted_than_it_says(most: int, preempted: list[int]) -> None:
    """The first whose gain is no more than that of somebody who waits."""
    ahead = [running(60, 40, arrived_at_s=9.0, last_token_at_s=9.5) for _ in range(2)]
    view = view_of([*ahead, Seen(90), Seen(16)], num_blocks=14, times=INSTANT)
    plan = Andes(period=1, horizon_s=5.0, max_preempted=most).decide(view)
    assert plan.preempt.tolist() == preempted


def test_memory_is_shared_where_it_is_short() -> None:
    """Forty requests over a pool for six, read slowly: running ones are preempted for others, and all finish."""
    replay = replay_of([(60, 40)] * 40, [0.02 * i for i in range(40)])
    records = simulate("andes:period=2:horizon_s=2", replay, 40).records
    assert sum(record.num_preemptions for record in records) > 20
    assert [record.num_output_tokens for record in records] == [40] * 40


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 110), st.integers(1, 20)), min_size=2, max_size=5),
    budget=st.sampled_from([4, 8, 16]),
    period=st.integers(1, 3),
    horizon_s=st.sampled_from([0.05, 0.3, 0.9, 50.0]),
)
@example([(73, 11), (87, 7), (67, 13), (95, 13)], 8, 1, 0.9)
@example([(72, 6), (63, 3), (70, 14)], 4, 1, 0.05)
def test_all_end_where_prompts_take_many_iterations(
    lengths: list[tuple[int, int]], budget: int, period: int, horizon_s: float
) -> None:
    """However often they compete: nobody is preempted for others more often than it has had tokens."""
    name = f"andes:period={period}:horizon_s={horizon_s}:pressure=0:max_preempted=3"
    replay = replay_of(lengths, [0.3 * i for i in range(len(lengths))], SLO(0.3, 0.05))
    served = simulate(name, replay, 9, limits=Limits(budget, 256))
    assert len(served.records) == len(lengths)
