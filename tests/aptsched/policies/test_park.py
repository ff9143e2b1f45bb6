"""The example of a policy that plays the P99 of a request's own gaps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from aptsched.metrics.latencies import Latencies, latencies
from aptsched.policies import load_policy
from aptsched.scheduling.record import SLO, Outcome
from engine.study.replay import Replay
from simulated import replay_of, replays, simulate
from views import Seen, running, view_of

NAME = f"{Path(__file__).parents[3] / 'examples' / 'park.py'}:Park"


def after(name: str) -> Latencies:
    """What came of 40 requests of 210 tokens, ten a second, on blocks for six of them."""
    replay = replay_of([(16, 210)] * 40, [number / 10 for number in range(40)], SLO(1.0, 0.5))
    return latencies(simulate(name, replay, num_blocks=90).records)


@pytest.mark.parametrize(
    ("num_output", "num_preemptions", "parks"), [(99, 0, False), (100, 0, True), (199, 1, False), (200, 1, True)]
)
def test_a_hundred_tokens_pay_for_a_wait(num_output: int, num_preemptions: int, parks: bool) -> None:
    """For a prompt without a block the latest goes that has as many tokens, and nobody else."""
    requests = [running(16, 100, num_preemptions=1), running(16, num_output, num_preemptions=num_preemptions), Seen(16)]
    view = view_of(requests)
    view = view_of(requests, num_blocks=int(view.num_held.sum()))
    plan = load_policy(NAME).decide(view)
    assert plan.preempt.tolist() == ([1] if parks else [])
    assert plan.request.tolist() == ([2] if parks else [0, 1])


@pytest.mark.parametrize(("num_output", "goes_on"), [(99, False), (100, True)])
def test_who_waits_goes_on_when_all_have_their_hundred(num_output: int, goes_on: bool) -> None:
    """However many blocks are free: one request that runs and lacks a token of its hundred keeps all others waiting."""
    waits = Seen(16, 100, num_preemptions=1)
    plan = load_policy(NAME).decide(view_of([waits, running(16, num_output, num_preemptions=0)]))
    assert plan.request.tolist() == ([0] if goes_on else [1])


def test_the_measure_that_it_plays() -> None:
    """By first tokens and the P99 of own gaps it holds what FCFS does not; by the largest gap it serves fewer well."""
    fcfs, park = after("fcfs"), after(NAME)
    assert fcfs.attained_p99_tbt.mean() < 0.6 < 0.9 <= park.attained_p99_tbt.mean()
    assert park.attained_max_tbt.mean() < fcfs.attained_max_tbt.mean()


@settings(max_examples=40, deadline=None)
@given(replays())
def test_every_request_ends(replay: Replay) -> None:
    """On any requests, finished or rejected."""
    served = simulate(NAME, replay, num_blocks=8)
    assert {record.outcome for record in served.records} <= {Outcome.FINISHED, Outcome.REJECTED}
    assert len(served.records) == len(replay)
