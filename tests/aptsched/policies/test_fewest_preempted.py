"""The example of a policy that reads a counter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given, settings

from aptsched.policies import load_policy
from aptsched.scheduling.record import Outcome
from engine.study.replay import Replay
from simulated import Served, replay_of, replays, simulate
from views import running, view_of

NAME = f"{Path(__file__).parents[3] / 'examples' / 'fewest_preempted.py'}:FewestPreempted"


def times_preempted(served: Served) -> Counter[int]:
    """How often each request was preempted; what each view says of it is the number so far."""
    so_far = Counter[int]()
    for view, plan in zip(served.seen.views, served.seen.plans, strict=True):
        assert view.num_preemptions.tolist() == [so_far[number] for number in view.request_id.tolist()]
        so_far.update(view.request_id[plan.preempt].tolist())
    return so_far


def test_who_was_preempted_most_often_keeps_its_cache() -> None:
    """Three requests need a third block each, and two are free: the latest of those never preempted goes."""
    requests = [running(28, 5), running(28, 5), running(28, 5, num_preemptions=2)]
    view = view_of(requests, num_blocks=8)
    plan = load_policy(NAME).decide(view)
    assert (plan.preempt.tolist(), sorted(plan.request.tolist())) == ([1], [0, 2])


@settings(max_examples=60, deadline=None)
@given(replays())
def test_nobody_goes_who_was_preempted_more_often_than_one_who_stays(replay: Replay) -> None:
    """On any requests, with counts that views have right; every request ends, as with any other policy."""
    served = simulate(NAME, replay, num_blocks=8)
    for view, plan in zip(served.seen.views, served.seen.plans, strict=True):
        stays = view.running.copy()
        stays[plan.preempt] = False
        assert view.num_preemptions[plan.preempt].max(initial=0) <= view.num_preemptions[stays].min(initial=10**9)
    assert times_preempted(served) == Counter(
        {r.request_id: r.num_preemptions for r in served.records if r.num_preemptions}
    )
    assert {record.outcome for record in served.records} <= {Outcome.FINISHED, Outcome.REJECTED}


def test_preemptions_are_spread() -> None:
    """Thirty prompts of a block that grow to eight, on 40: FCFS preempts one of them six times, this three."""
    replay = replay_of([(16, 100)] * 30)
    most = [max(times_preempted(simulate(name, replay)).values()) for name in ("fcfs", NAME)]
    assert most == [6, 3]
