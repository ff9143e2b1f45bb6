"""Callbacks may add, abort, close and raise: every request has one record, whatever they do."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.errors import InputError
from engine.loop.worker import MAX_LATE
from engine.state.request import Request
from hash_executor import expected_tokens
from loop_runs import EOS, SEEDS, All, Idle, Run, callbacks, check_conserved, make_requests, make_run, request_of
from random_policy import RandomPolicy


@given(SEEDS)
@settings(max_examples=40)
def test_a_request_may_be_aborted_at_any_moment(seed: int) -> None:
    """From the policy, the executor and every callback; its blocks come back, the others end as ever."""
    rng = np.random.default_rng(seed)
    requests = make_requests(rng, 12)
    run = make_run(RandomPolicy(rng, idle_share=0.3), requests, num_host_blocks=10)
    asked = set()

    def then(call: Callable[..., Any]) -> Callable[..., Any]:
        def aborting(*given: Any) -> Any:
            answer = call(*given)
            if rng.random() < 0.03:
                asked.add(request_id := int(rng.integers(len(requests))))
                run.worker.abort(request_id)
            return answer

        return aborting

    for owner, name in callbacks(run):
        setattr(owner, name, then(getattr(owner, name)))
    run.loop.run(requests)
    check_conserved(run)
    for request in requests:
        outcome, expected = run.record(request.request_id).outcome, expected_tokens(request, 70, EOS)
        assert outcome is Outcome.FINISHED or (outcome is Outcome.ABORTED and request.request_id in asked)
        assert request.output_token_ids == expected[: None if outcome is Outcome.FINISHED else len(request.token_at_s)]


def test_an_abort_between_steps_takes_effect_at_once() -> None:
    """The blocks are free before the next step."""
    run = make_run(All(), make_requests(np.random.default_rng(1), 3))
    for request in run.requests:
        run.loop.add(request)
    run.loop.step()
    held = run.pool.free_blocks
    run.worker.abort(0)
    assert run.record(0).outcome is Outcome.ABORTED and run.pool.free_blocks > held
    run.worker.abort(0)
    run.worker.abort(99)
    assert len(run.records) == 1


class Broken(BaseException):
    """Nothing that anybody expects."""


def disturb(run: Run, rng: np.random.Generator, given: list[Request], num_late: int) -> None:
    """Every callback, the policy and the executor now and then add, abort, close, or raise."""

    def act(where: str) -> None:
        loop, what = run.loop, rng.random()
        if what < 0.005:
            run.worker.close("closed")
        elif what < 0.1:
            run.worker.abort(int(rng.integers(40)))
        elif what < 0.3 and len(given) < num_late:
            arrived_at_s = loop.clock.now_s() + rng.choice([0.0, 0.0, 0.0, 0.1, -0.1])
            late = request_of(1000 + len(given), int(rng.integers(1, 80)), float(arrived_at_s), max_tokens=3)
            given.append(late)
            try:
                loop.add(late)
            except InputError:  # which is the answer to it
                given.remove(late)
        elif what < 0.32:
            raise [Broken, KeyboardInterrupt, SystemExit, ValueError][rng.integers(4)](where)

    def then(where: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def disturbed(*args: Any) -> Any:
            answer = call(*args)
            act(where)
            return answer

        return disturbed

    for owner, name in callbacks(run):
        setattr(owner, name, then(name, getattr(owner, name)))


def arriving(rng: np.random.Generator, given: list[Request]) -> Iterator[Request]:
    """Requests mostly in order; some are there twice, some arrive at no time, and the generator may raise."""
    for request in make_requests(rng, 20):
        what = rng.random()
        if what < 0.02:
            request.arrived_at_s = float(rng.choice([0.0, math.nan, math.inf, -math.inf, -1.0]))
        elif what < 0.04 and given:
            request = dataclasses.replace(given[-1])
        elif what < 0.06:
            raise [Broken, KeyboardInterrupt, ValueError][rng.integers(3)]("while arriving")
        given.append(request)
        yield request


@given(SEEDS, st.sampled_from(["random", "idle"]))
@settings(max_examples=150)
def test_whatever_ends_a_run_every_request_has_one_record(seed: int, name: str) -> None:
    """Callbacks that add, abort, close and raise; arrivals out of order, twice, at no time; a generator that raises."""
    rng = np.random.default_rng(seed)
    policy = Idle() if name == "idle" else RandomPolicy(rng, reject_share=0.05)
    run, given = make_run(policy, [], num_host_blocks=5), list[Request]()
    disturb(run, rng, given, num_late=60)
    try:
        reason = run.loop.run(arriving(rng, given))
    except (Broken, KeyboardInterrupt, SystemExit, ValueError):
        pass
    else:
        left = {record.reason for record in run.records if record.outcome is Outcome.UNFINISHED} - {"closed"}
        assert left == ({reason} if reason else set()) or (reason and not left)
    assert Counter(record.request_id for record in run.records) == Counter(request.request_id for request in given)
    assert run.worker.num_unfinished == 0 and run.pool.free_blocks == run.pool.num_blocks
    assert run.pool.host.free_blocks == run.pool.num_host_blocks
    run.pool.check_integrity()


def test_a_request_that_a_callback_adds_comes_behind_those_that_have_arrived() -> None:
    """One of the run's own arrived during the iteration; both are served."""
    requests = [request_of(0, 30, max_tokens=1), request_of(1, 9, 0.01, max_tokens=2)]
    run = make_run(All(), requests)

    def follow(record: RequestRecord) -> None:
        run.records.append(record)
        if record.request_id == 0:
            run.loop.add(request_of(2, 9, run.loop.clock.now_s(), max_tokens=2))

    run.worker.book.on_record = follow
    run.loop.run(requests)
    assert {record.request_id: record.outcome for record in run.records} == dict.fromkeys(range(3), Outcome.FINISHED)


def test_a_request_of_a_callback_may_not_come_before_those_of_the_run() -> None:
    """It would arrive after one that is still to come: the message says until when."""
    requests = [request_of(0, 9, max_tokens=1), request_of(1, 9, 5.0, max_tokens=1)]
    run, messages = make_run(All(), requests), []

    def early(record: RequestRecord) -> None:
        run.records.append(record)
        if record.request_id == 0:
            with pytest.raises(InputError) as caught:
                run.loop.add(request_of(2, 9, 7.0))
            messages.append(str(caught.value))

    run.worker.book.on_record = early
    run.loop.run(requests)
    assert messages == [
        "arrived_at_s: 7.0 of request 2 is not accepted; up to 5.0 is, when the next request of the run arrives"
    ]
    assert [record.outcome for record in run.records] == [Outcome.FINISHED] * 2


def test_a_callback_that_always_adds_does_not_keep_a_run_from_closing() -> None:
    """After so many its requests are refused; those before have their record."""
    run, added = make_run(Idle(), [request_of(0, 9)]), [0]

    def follow(record: RequestRecord) -> None:
        run.records.append(record)
        run.loop.add(request_of(len(added), 9, record.arrived_at_s))
        added.append(len(added))

    run.worker.book.on_record = follow
    with pytest.raises(InputError, match="none is once a run is over"):
        run.loop.run(run.requests)
    assert [record.request_id for record in run.records] == added and len(added) == 1 + MAX_LATE
