"""What a run of several workers refuses, and how it ends when something breaks: every request has one record."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.plan_check import PlanError
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from clusters import Recorded, worker_with, workers_of
from engine.cluster.cluster import Cluster
from engine.cluster.router import RoundRobin
from engine.loop.loop import STUCK
from engine.loop.worker import Worker
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from loop_runs import SEEDS, Idle
from simulated import replay_of

REPLAY = replay_of([(40, 12)] * 30, [0.01 * i for i in range(30)])


def check_accounted(recorded: list[Recorded], num_requests: int) -> list[RequestRecord]:
    """All records, by number: one for each request; nothing is left at any worker."""
    records = sorted((record for each in recorded for record in each.records), key=lambda record: record.request_id)
    assert [record.request_id for record in records] == list(range(num_requests))
    for each in recorded:
        assert each.worker.num_unfinished == 0 and not each.worker.is_busy and each.worker.closing is None
        assert each.worker.pool.free_blocks == each.worker.pool.num_blocks
    return records


def then(call: Callable[..., Any], act: Callable[[], object]) -> Callable[..., Any]:
    """The call, and something after it."""

    def both(*given: Any) -> Any:
        answer = call(*given)
        act()
        return answer

    return both


@pytest.mark.parametrize("where", ["decide", "run", "route", "on_record", "on_iteration"])
@settings(max_examples=10)
@given(at=st.integers(1, 25))
def test_ctrl_c_ends_a_run_with_every_request_accounted_for(where: str, at: int) -> None:
    """Wherever it is pressed, with the other workers in the middle of an iteration; those not yet arrived too."""
    recorded, num_calls = [worker_with(Deciding()) for _ in range(3)], 0
    router = RoundRobin()

    def press() -> None:
        nonlocal num_calls
        num_calls += 1
        if num_calls == at:
            signal.raise_signal(signal.SIGINT)

    for each in recorded:
        worker = each.worker
        owners = {"decide": worker.policy, "run": worker.executor, "route": router, "on_record": worker.book}
        owner: Any = owners.get(where, worker)
        if where != "route" or each is recorded[0]:
            setattr(owner, where, then(getattr(owner, where), press))
    with pytest.raises(KeyboardInterrupt):
        Cluster([each.worker for each in recorded], router).run(REPLAY.requests())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    records = check_accounted(recorded, 30)
    left = [record.reason for record in records if record.outcome is Outcome.UNFINISHED]
    assert left and set(left) == {"interrupted"}


class Deciding:
    """First come, first served, as an object whose method can be replaced."""

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        return FCFS().decide(view)


def test_a_plan_that_is_not_legal_ends_the_run_with_every_request_accounted_for() -> None:
    """The error of one worker goes on to the caller; the iterations of the others are broken off."""

    class Wrong:
        def decide(self, view: View) -> Plan:
            return FCFS().decide(view) if view.now_s < 0.1 else Plan(request=np.array([-1]))

    recorded = [worker_with(FCFS()), worker_with(Wrong())]
    with pytest.raises(PlanError, match="request: row -1 is not accepted"):
        Cluster([each.worker for each in recorded], RoundRobin()).run(REPLAY.requests())
    records = check_accounted(recorded, 30)
    reasons = {record.reason for record in records if record.outcome is Outcome.UNFINISHED}
    assert len(reasons) == 1 and reasons.pop().startswith("PlanError: request: row -1")


@pytest.mark.parametrize("answer", [None, [], worker_with(FCFS()).worker])
def test_an_answer_of_a_router_that_is_no_worker_of_the_cluster_is_refused(answer: Any) -> None:
    """By its type."""

    class Astray:
        def route(self, request: Request, workers: Sequence[Worker]) -> Worker:
            worker: Worker = answer
            return worker

    recorded = workers_of(["fcfs"] * 2, REPLAY)
    with pytest.raises(InputError, match=r"router: \w+ is not accepted; one of the workers is"):
        Cluster([each.worker for each in recorded], Astray()).run(REPLAY.requests())
    assert {record.outcome for record in check_accounted(recorded, 30)} == {Outcome.UNFINISHED}


def test_numbers_tell_the_requests_of_all_workers_apart() -> None:
    """A second request with the number of one that another worker serves is refused."""
    recorded = workers_of(["fcfs"] * 2, REPLAY)
    requests = [request for _ in range(2) for request in replay_of([(40, 12)]).requests()]
    with pytest.raises(InputError, match="request_id: 0 is not accepted; numbers not being served are"):
        Cluster([each.worker for each in recorded], RoundRobin()).run(requests)


def test_workers_that_cannot_share_a_clock_are_refused() -> None:
    """None at all, one twice, or one in real time."""
    recorded = worker_with(FCFS())
    real = worker_with(FCFS())
    real.worker.scheduling = None
    for workers, message in (
        ([], "workers: none is there; at least one"),
        ([recorded.worker] * 2, "workers: one is there twice; at least one, and each once, is accepted"),
        ([recorded.worker, real.worker], "workers: scheduling=None of one"),
    ):
        with pytest.raises(InputError, match=message):
            Cluster(workers, RoundRobin())


@pytest.mark.parametrize(
    ("workers", "router", "message"),
    [
        (5, RoundRobin(), "workers: 5 is not accepted; one, or several in a list, is"),
        (worker_with(FCFS()).worker, RoundRobin(), "workers: .* is not accepted; one, or several in a list, is"),
        ([FCFS()], RoundRobin(), "workers: FCFS is not accepted; each is a Worker"),
        ([None], RoundRobin(), "workers: NoneType is not accepted; each is a Worker"),
        ([[worker_with(FCFS()).worker]], RoundRobin(), "workers: list is not accepted; each is a Worker"),
        ([worker_with(FCFS()).worker], None, "router: NoneType is not accepted; an object with the method `route` is"),
        ([worker_with(FCFS()).worker], "round", "router: str is not accepted; an object with the method `route` is"),
        ([worker_with(FCFS()).worker], RoundRobin, "router: the class RoundRobin is not accepted; an object with the"),
    ],
)
def test_what_is_no_worker_or_no_router_is_refused(workers: Any, router: Any, message: str) -> None:
    """By its type, before anything runs."""
    with pytest.raises(InputError, match=message):
        Cluster(workers, router)


@pytest.mark.parametrize("given", [None, 5, [5], "text"])
def test_what_is_no_request_is_refused(given: Any) -> None:
    """By a run and by a callback's call; the cluster serves on."""
    recorded = workers_of(["fcfs"] * 2, REPLAY)
    cluster = Cluster([each.worker for each in recorded], RoundRobin())
    for call in (cluster.run, cluster.add):
        with pytest.raises(InputError, match=r"requests: \w+ is not accepted; "):
            call(given)
    assert cluster.run(REPLAY.requests()) == "" and len(check_accounted(recorded, 30)) == 30


def test_a_worker_whose_policy_never_runs_anyone_does_not_hold_up_the_others() -> None:
    """Its requests are unfinished in the end, and the reason is that of the loop; those of the other are served."""
    recorded = [worker_with(FCFS()), worker_with(Idle())]
    assert Cluster([each.worker for each in recorded], RoundRobin()).run(REPLAY.requests()) == STUCK
    records = check_accounted(recorded, 30)
    assert {record.outcome for record in records[::2]} == {Outcome.FINISHED}
    assert {(record.outcome, record.reason) for record in records[1::2]} == {(Outcome.UNFINISHED, STUCK)}


@given(SEEDS, st.integers(1, 4), st.booleans())
@settings(max_examples=40)
def test_clients_may_send_their_next_request_when_the_last_one_ends(seed: int, num_workers: int, fails: bool) -> None:
    """From the callback, routed as all are; each has one record, also where the run is broken off."""
    rng = np.random.default_rng(seed)
    recorded, sent = [worker_with(FCFS()) for _ in range(num_workers)], [4]
    cluster = Cluster([each.worker for each in recorded], RoundRobin())

    def follow() -> None:
        if fails and rng.random() < 0.05:
            raise ValueError("a client")
        if sent[0] < 60:
            sent[0] += 1
            cluster.add(_request(sent[0] - 1, cluster.now_s, rng))

    for each in recorded:
        each.worker.book.on_record = then(each.worker.book.on_record, follow)
    try:
        reason = cluster.run([_request(i, 0.01 * i, rng) for i in range(4)])
        assert reason == "" and sent[0] == 60
    except ValueError:
        assert fails
    check_accounted(recorded, sent[0])


def _request(request_id: int, arrived_at_s: float, rng: np.random.Generator) -> Request:
    params = SamplingParams(max_tokens=int(rng.integers(1, 20)))
    return Request(request_id, arrived_at_s, int(rng.integers(1, 60)), params, SLO())


def test_a_callback_may_not_send_a_request_of_the_future() -> None:
    """It is routed at once, by what the workers do now."""
    cluster = Cluster([worker_with(FCFS()).worker], RoundRobin())
    with pytest.raises(InputError, match=r"arrived_at_s: 7\.0 of request 0 is not accepted; up to 0\.0, the time"):
        cluster.add(_request(0, 7.0, np.random.default_rng(0)))
