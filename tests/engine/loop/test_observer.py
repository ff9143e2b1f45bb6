"""What a policy is told of requests that have ended, and what it may say of those that it gives up."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.plan_check import PlanError
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from clusters import worker_with
from engine.cluster.cluster import Cluster
from engine.cluster.router import RoundRobin
from engine.state.request import Request
from loop_runs import SEEDS, OneByOne, check_conserved, make_requests, make_run, request_of, saying
from random_policy import RandomPolicy
from simulated import replay_of


@dataclass
class Told:
    """A policy that keeps the records that it is told of, and when each request was in a view for the last time."""

    policy: Policy
    records: list[RequestRecord] = field(default_factory=list)
    seen_s: dict[int, float] = field(default_factory=dict)
    then: Callable[[], object] = lambda: None

    def decide(self, view: View) -> Plan:
        """The policy's plan; who has ended is in no view any more."""
        numbers = view.request_id.tolist()
        assert not set(numbers) & {record.request_id for record in self.records}
        self.seen_s.update(dict.fromkeys(numbers, view.now_s))
        return self.policy.decide(view)

    def on_record(self, record: RequestRecord) -> None:
        """Of one that is finished the last token came after the last decision that saw it."""
        finished = record.outcome is Outcome.FINISHED
        assert not finished or record.token_at_s[-1] > self.seen_s[record.request_id]
        self.records.append(record)
        self.then()


@given(SEEDS)
@settings(max_examples=25)
def test_a_policy_is_told_of_each_request_once_it_has_ended(seed: int) -> None:
    """Finished with its true length, rejected and aborted ones too: the records that everybody gets, in their order."""
    rng = np.random.default_rng(seed)
    policy = Told(RandomPolicy(rng, reject_share=0.02, idle_share=0.0))
    run = make_run(policy, [*make_requests(rng, 10), request_of(10, 70, 0.6)])
    keep = run.worker.on_token
    assert keep is not None

    def aborting(request: Request, token_id: int, now_s: float) -> None:
        keep(request, token_id, now_s)
        if rng.random() < 0.03:
            run.worker.abort(request.request_id)

    run.worker.on_token = aborting
    run.loop.run(run.requests)
    check_conserved(run)
    assert policy.records == run.records
    lengths = {request.request_id: len(request.output_token_ids) for request in run.requests}
    assert {record.request_id: record.num_output_tokens for record in policy.records} == lengths
    assert run.record(10).outcome is Outcome.REJECTED and 10 not in policy.seen_s


def test_each_policy_of_a_cluster_is_told_of_its_own_requests() -> None:
    """And of those alone."""
    policies = [Told(FCFS()), Told(FCFS())]
    workers = [worker_with(policy).worker for policy in policies]
    Cluster(workers, RoundRobin()).run(replay_of([(20, 3)] * 6).requests())
    assert [[record.request_id for record in policy.records] for policy in policies] == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_policy_that_fails_when_it_is_told_loses_no_record(error: type[BaseException]) -> None:
    """The receiver has each before the policy, also those of the run that is ended so."""

    def fail() -> None:
        if error is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        raise error

    policy = Told(OneByOne(), then=fail)
    run = make_run(policy, make_requests(np.random.default_rng(0), 6))
    with pytest.raises(error):
        run.loop.run(run.requests)
    check_conserved(run)
    assert [record.outcome for record in run.records[1:]] == [Outcome.UNFINISHED] * 5


def test_what_cannot_be_told_is_refused() -> None:
    """When the worker is made, by its type."""
    policy: Any = OneByOne()
    policy.on_record = 3
    with pytest.raises(InputError, match="policy: on_record of type int is not accepted; a method is"):
        make_run(policy, [])


def test_a_policy_may_say_why_it_gives_a_request_up() -> None:
    """In its own words, or for one of them in the usual ones."""
    plan = Plan(reject=np.array([2, 0]), reject_reasons=["no hope", ""])
    run = make_run(saying([plan, Plan(reject=np.array([0]))]), [request_of(i, 20) for i in range(3)])
    run.loop.run(run.requests)
    check_conserved(run)
    usual = "given up by the policy: 20 tokens need 2 blocks in KV form and 1 in hidden form; the pool has 20"
    assert [run.record(i).reason for i in range(3)] == [usual, usual, "given up by the policy: no hope"]


@pytest.mark.parametrize(
    ("reasons", "message"),
    [
        ("no", "str is not accepted; a list of texts is"),
        (None, "NoneType is not accepted; a list of texts is"),
        (["no"], "1 are not accepted; none, or 2, one for each row, are"),
        (["no"] * 3, "3 are not accepted; none, or 2, one for each row, are"),
        (["no", 3], "3 is not accepted; a text of up to 500 characters on one line is"),
        (["no", "a\nb"], "'a\\\\nb' is not accepted; a text of up to 500 characters on one line is"),
        (["no", "\ud800"], "is not accepted; a text of up to 500 characters on one line is"),
        (["no", "x" * 501], "is not accepted; a text of up to 500 characters on one line is"),
    ],
)
def test_reasons_that_a_record_cannot_show_are_refused(reasons: Any, message: str) -> None:
    """Before anything is changed: both requests are still there."""
    run = make_run(saying([Plan(reject=np.array([0, 1]), reject_reasons=reasons)]), [])
    for i in range(2):
        run.worker.add(request_of(i, 20))
    with pytest.raises(PlanError, match=f"^reject_reasons: .*{message}"):
        run.worker.step(0.0)
    assert run.worker.num_unfinished == 2 and run.records == []
