"""Several workers on one computed clock: with one it is the loop, with more every request is served by one of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.scheduling.record import Outcome
from clusters import Recorded, Routed, workers_of
from engine.cluster.cluster import Cluster
from engine.cluster.router import (
    LeastLoaded,
    RoundRobin,
    Router,
    ShortestQueue,
    num_queued_tokens,
    num_unfinished_tokens,
)
from engine.loop.clock import SchedulingTime
from engine.loop.loop import Loop
from engine.study.replay import Replay
from loop_runs import NO_SCHEDULING_TIME
from simulated import POLICIES, replay_of, replays

ROUTERS = st.sampled_from([RoundRobin, LeastLoaded, ShortestQueue])
SCHEDULING = st.sampled_from([NO_SCHEDULING_TIME, SchedulingTime(), SchedulingTime(0.05, 0.01)])
LONG = replay_of([(40, 12)] * 40, [0.001 * i for i in range(40)])


def served(names: list[str], replay: Replay, router: Router, scheduling: SchedulingTime) -> list[Recorded]:
    """What each worker of a cluster said of the requests of a replay."""
    recorded = workers_of(names, replay, scheduling)
    assert Cluster([each.worker for each in recorded], router).run(replay.requests()) == ""
    return recorded


@settings(max_examples=60)
@given(replays(max_requests=12), st.sampled_from(POLICIES), ROUTERS, SCHEDULING)
def test_with_one_worker_it_is_the_loop(
    replay: Replay, name: str, router: type[Router], scheduling: SchedulingTime
) -> None:
    """Records are equal in every bit, and so are start and end of each iteration and what it did."""
    (cluster,) = served([name], replay, router(), scheduling)
    (alone,) = workers_of([name], replay, scheduling)
    assert Loop(alone.worker).run(replay.requests()) == ""
    by_number = [sorted(each.records, key=lambda record: record.request_id) for each in (cluster, alone)]
    assert repr(by_number[0]) == repr(by_number[1]) and len(by_number[0]) == len(replay)
    did = [[{**vars(it), "problem": None, "selection": None} for it in each.iterations] for each in (cluster, alone)]
    assert repr(did[0]) == repr(did[1])


@settings(max_examples=100)
@given(replays(max_requests=25), st.lists(st.sampled_from(POLICIES), min_size=1, max_size=5), ROUTERS, SCHEDULING)
def test_every_request_is_served_once_by_the_worker_that_it_was_sent_to(
    replay: Replay, names: list[str], router: type[Router], scheduling: SchedulingTime
) -> None:
    """Nobody before its arrival, no worker steps into the past, and all blocks are free at the end."""
    routed = Routed(router())
    recorded = served(names, replay, routed, scheduling)
    assert sorted(record.request_id for each in recorded for record in each.records) == list(range(len(replay)))
    for each in recorded:
        worker = each.worker
        assert all(routed.answers[record.request_id] is worker for record in each.records)
        assert (worker.num_unfinished, num_unfinished_tokens(worker), num_queued_tokens(worker)) == (0, 0, 0)
        assert worker.pool.free_blocks == worker.pool.num_blocks and not worker.is_busy
        ends = [0.0, *(time_s for it in each.iterations for time_s in (it.start_s, it.end_s))]
        assert all(before <= now for before, now in pairwise(ends))
        for record in each.records:
            assert all(record.arrived_at_s < token_at_s for token_at_s in record.token_at_s)
            assert record.outcome in (Outcome.FINISHED, Outcome.REJECTED)


@settings(max_examples=15)
@given(replays(max_requests=20), st.lists(st.sampled_from(POLICIES), min_size=2, max_size=4), ROUTERS)
def test_equal_requests_give_equal_records(replay: Replay, names: list[str], router: type[Router]) -> None:
    """At each worker, and in the order in which they were handed over."""
    twice = [served(names, replay, router(), SchedulingTime()) for _ in range(2)]
    assert repr([each.records for each in twice[0]]) == repr([each.records for each in twice[1]])


def test_two_workers_run_at_the_same_time() -> None:
    """By turns each gets every second of 40 requests; none of them waits for the other, so that all are done sooner."""
    ends = []
    for num_workers in (1, 2):
        recorded = served(["fcfs"] * num_workers, LONG, RoundRobin(), SchedulingTime())
        ends.append(max(each.iterations[-1].end_s for each in recorded))
    assert [[record.request_id % 2 for record in each.records] for each in recorded] == [[0] * 20, [1] * 20]
    first, second = (each.iterations[0] for each in recorded)
    assert first.start_s == 0.0 and second.start_s == 0.001 < first.end_s
    assert ends[1] < 0.7 * ends[0]


def test_a_request_goes_to_the_least_loaded() -> None:
    """A long prompt at 0 keeps the first worker loaded: the two short ones that come next both go to the second."""
    replay = replay_of([(60, 10), (10, 10), (10, 10), (30, 10)], [0.0, 0.001, 0.002, 0.003])
    first, second = served(["vllm-v1"] * 2, replay, LeastLoaded(), NO_SCHEDULING_TIME)
    assert {record.request_id for record in first.records} == {0}
    assert {record.request_id for record in second.records} == {1, 2, 3}


def test_a_request_goes_to_the_shortest_queue() -> None:
    """Of 60 tokens that are being fed none is queued: free blocks decide, and both that follow go to the other one."""
    replay = replay_of([(60, 10), (10, 10), (10, 10)], [0.0, 0.0001, 0.0002])
    first, second = served(["vllm-v1"] * 2, replay, ShortestQueue(), NO_SCHEDULING_TIME)
    assert [{record.request_id for record in each.records} for each in (first, second)] == [{0}, {1, 2}]


@pytest.mark.parametrize("router", [RoundRobin, LeastLoaded, ShortestQueue])
def test_a_cluster_serves_run_after_run(router: type[Router]) -> None:
    """The clock goes on, and every request of both runs has its record."""
    recorded = workers_of(["fcfs", "fcfs"], LONG)
    cluster = Cluster([each.worker for each in recorded], router())
    assert cluster.run(LONG.requests()) == ""
    later = replay_of([(20, 3)] * 5, [cluster.now_s + 1.0] * 5)
    assert cluster.run(later.requests()) == ""
    assert sorted(len(each.records) for each in recorded)[0] > 0 and sum(len(each.records) for each in recorded) == 45
