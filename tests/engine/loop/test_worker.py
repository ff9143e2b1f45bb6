"""A worker without a clock: it decides and runs when it is told the time, and gives out tokens at the end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import Outcome
from engine.loop.clock import SchedulingTime
from loop_runs import SEEDS, All, check_conserved, entry, make_requests, make_run, request_of, saying
from random_policy import RandomPolicy


def test_an_iteration_lasts_for_what_the_executor_and_the_model_of_scheduling_say() -> None:
    """By hand: ten tokens at 1 ms each, and 2 ms of scheduling and one for each of two requests, from 5 s on."""
    run = make_run(All(), [], scheduling=SchedulingTime(0.002, 0.001))
    run.worker.add(request_of(0, 4, max_tokens=1))
    run.worker.add(request_of(1, 6, max_tokens=1))
    assert run.worker.begin(5.0) == pytest.approx(5.014)
    assert (run.streamed, run.records) == ([], [])
    iteration = run.worker.finish()
    assert (iteration.start_s, iteration.scheduling_s) == (5.0, 0.004)
    assert iteration.duration_s == pytest.approx(0.014) and not iteration.is_idle
    assert [record.token_at_s.tolist() for record in run.records] == [[iteration.end_s]] * 2


def test_in_real_time_an_iteration_lasts_for_what_passed() -> None:
    """Whatever the executor says of its duration: here 10 s for ten tokens."""
    run = make_run(All(), [], scheduling=None)
    run.executor.seconds_per_token = 1.0
    run.worker.add(request_of(0, 10, max_tokens=1))
    iteration = run.worker.step(3.0)
    assert iteration is not None and 0 < iteration.scheduling_s
    assert 3.0 < iteration.end_s < 13.0 and run.record(0).token_at_s.tolist() == [iteration.end_s]


def test_requests_may_be_added_while_a_worker_is_busy() -> None:
    """One that can be served is in the next iteration; of one that cannot the record comes at the end of this one."""
    run = make_run(All(), [request_of(i, count, max_tokens=1) for i, count in enumerate((9, 8, 70))])
    run.worker.add(run.requests[0])
    run.worker.begin(0.0)
    run.worker.add(run.requests[1])
    run.worker.add(run.requests[2])
    assert run.records == []
    run.worker.finish()
    assert [record.outcome for record in run.records] == [Outcome.REJECTED, Outcome.FINISHED]
    assert run.worker.num_unfinished == 1
    run.worker.step(1.0)
    check_conserved(run)


def test_an_abort_while_a_worker_is_busy_takes_effect_at_the_end() -> None:
    """The token of that iteration is the last of the request."""
    run = make_run(All(), [request_of(0, 9, max_tokens=5, ignore_eos=True)])
    run.worker.add(run.requests[0])
    run.worker.begin(0.0)
    run.worker.abort(0)
    assert run.worker.num_unfinished == 1 and run.records == []
    run.worker.finish()
    check_conserved(run)
    assert run.record(0).outcome is Outcome.ABORTED and len(run.record(0).token_at_s) == 1


def test_a_worker_without_requests_does_nothing() -> None:
    """Its policy is not asked."""
    run = make_run(saying([]), [])
    assert run.worker.step(0.0) is None and run.iterations == []


def second(num_tokens: int) -> Plan:
    """Feeds so many tokens of the second request; the first is held."""
    return dataclasses.replace(entry(num_tokens), request=np.array([1]))


def test_what_is_running_and_not_in_the_plan_keeps_its_cache() -> None:
    """A policy may hold a request for some iterations: nothing is fed again, and its tokens are as ever."""
    plans = [entry(20), entry(1), second(5), second(1), entry(1), entry(1)]
    run = make_run(saying(plans), [request_of(0, 20, max_tokens=4, ignore_eos=True), request_of(1, 5, max_tokens=2)])
    for request in run.requests:
        run.worker.add(request)
    free = []
    for step in range(6):
        run.worker.step(float(step))
        free.append(run.pool.free_blocks)
    check_conserved(run)
    assert free == [18, 18, 17, 18, 18, 20]
    assert (run.record(0).num_preemptions, run.record(0).num_recomputed_tokens) == (0, 0)
    assert [round(time_s) for time_s in run.record(0).token_at_s] == [0, 1, 4, 5]


@given(SEEDS)
@settings(max_examples=20)
def test_two_phases_give_what_a_step_gives(seed: int) -> None:
    """Records and iterations are equal, whatever a random policy draws."""
    runs = []
    for in_phases in (False, True):
        rng = np.random.default_rng(seed)
        run = make_run(RandomPolicy(rng, reject_share=0.02), make_requests(rng, 6))
        for request in run.requests:
            run.worker.add(request)
        now_s = 1.0
        while run.worker.num_unfinished:
            if in_phases:
                now_s = run.worker.begin(now_s)
                run.worker.finish()
            else:
                iteration = run.worker.step(now_s)
                assert iteration is not None
                now_s = iteration.end_s
        check_conserved(run)
        runs.append((run.records, run.streamed))
    assert runs[0] == runs[1]
