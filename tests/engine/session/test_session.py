"""A session: requests that come and go, each with its text and its end."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from engine.models.model import Model
from engine.session import driver
from engine.session.engine import Engine
from engine.session.session import Session
from engine.state.sampling_params import SamplingParams
from live import MOST_S, Gated, exact_model, in_time, together, wait_until

MODEL = exact_model()
LONG = SamplingParams(max_tokens=100, temperature=1.0, ignore_eos=True)


def live(policy: Policy | None = None, num_blocks: int = 60) -> Session:
    """The session of a new engine."""
    return Engine(MODEL, policy, num_blocks=num_blocks).session


def test_a_stream_gives_the_text_and_returns_the_completion() -> None:
    """Its pieces, joined; the finish reason is known when it is over."""
    with live() as session:
        generation, returned = session.add("hello", LONG), []

        def whole() -> Iterator[str]:
            returned.append((yield from generation.stream()))

        text = in_time(lambda: "".join(whole()))
        assert returned == [generation.result()]
        assert text == generation.result().text and generation.finish_reason == "length"
        assert len(generation.result().token_ids) == 100


def test_streams_begin_at_the_beginning_whenever_they_are_asked_for() -> None:
    """By several, by number, and after the end."""
    with live() as session:
        generation = session.add("hello", LONG)
        first = session.stream(generation.request_id)
        begun = in_time(lambda: next(first))
        text = in_time(lambda: "".join(generation))
        assert begun + "".join(first) == text == "".join(session.stream(generation.request_id))
        assert session.result(generation.request_id, 0).text == text


def test_a_request_that_is_aborted_keeps_what_it_has() -> None:
    """Its finish reason is abort; ended ones and unknown ones are let be."""
    policy = Gated()
    with live(policy) as session:
        generation = session.add("hello", LONG)
        assert policy.asked.wait(60)
        session.abort(generation.request_id)
        policy.gate.set()
        assert in_time(generation.result).finish_reason == "abort"
        assert len(generation.result().token_ids) == 1  # of the iteration that ran
        session.abort(generation.request_id)
        session.abort(10**9)
        assert session.add("hello", SamplingParams(max_tokens=2)).result(60).finish_reason == "length"


def test_a_number_that_nobody_holds_is_not_accepted() -> None:
    """Of a request that was let go of, or never was."""
    with live() as session:
        number = session.add("hello", LONG).request_id
        for call in (session.stream, session.result):
            with pytest.raises(InputError, match=f"request_id: {number} is not accepted; that of a generation which"):
                call(number)


def test_of_requests_that_nobody_holds_nothing_is_kept() -> None:
    """Let go of, or their streams closed, they are aborted and their memory is free."""
    policy = Gated()
    session = live(policy)
    forgotten, left = session.add("hello", LONG), session.add("hello", LONG)
    outputs = [weakref.ref(each._output.request) for each in (forgotten, left)]
    policy.gate.set()
    stream = left.stream()
    in_time(stream.__next__)
    del forgotten, left
    stream.close()
    del stream
    assert session.add("hello", SamplingParams(max_tokens=2)).result(60).finish_reason == "length"
    assert session.worker.num_unfinished == 0
    session.close()
    gc.collect()
    assert [output() for output in outputs] == [None, None]


def test_close_ends_all_and_is_done_once() -> None:
    """Those that run are aborted, and the reason stands in their records; none is added after it."""
    policy = Gated(num_free=1)
    session = live(policy)
    generations = session.add_all(["hello"] * 5, LONG)
    assert policy.asked.wait(MOST_S)  # all run, and none can end before the session is closed

    def let() -> None:
        wait_until(lambda: session._driver._closed)
        policy.gate.set()

    together([session.close, let])
    in_time(session.close)
    ends = [generation.result(0).record.reason for generation in generations]
    assert ends == ["the session was closed"] * 5
    assert {generation.finish_reason for generation in generations} == {"abort"}
    assert session.worker.num_unfinished == 0 and session.worker.pool.free_blocks == 60
    with pytest.raises(InputError, match="session: no prompt is accepted any more, for it is closed; a new one is"):
        session.add("hello")


def test_a_prompt_that_can_never_be_served_is_rejected_and_says_why() -> None:
    """By the context length."""
    with live() as session:
        generation = session.add([5] * 200)
        assert in_time(lambda: list(generation)) == [] and generation.finish_reason == "rejected"
        assert "num_prompt_tokens: 200 is not accepted" in generation.result().record.reason


def test_none_is_added_where_one_is_not_accepted() -> None:
    """Several that come together."""
    with live() as session:
        with pytest.raises(InputError, match="prompt: an empty one"):
            session.add_all(["hello", []], [LONG, LONG])
        assert session.worker.num_unfinished == 0


def test_results_that_take_longer_than_the_time_given_say_so() -> None:
    """And come later; a thread that does not run the worker itself says so within an iteration."""
    policy = Gated()
    with in_time(lambda: live(policy)) as session:
        generation = session.add("hello", SamplingParams(max_tokens=2))
        for timeout_s in (0, 1e-3):
            with pytest.raises(TimeoutError, match="not over within the time"):
                generation.result(timeout_s)
        assert generation.finish_reason is None and not generation.is_over
        policy.gate.set()
        assert generation.result(60).finish_reason == "length"


def test_stop_strings_and_streams_need_a_tokenizer() -> None:
    """Token ids alone do not."""
    with Engine(Model("bare", MODEL.decoder), num_blocks=20).session as session:
        with pytest.raises(InputError, match="has no tokenizer"):
            session.add([5], SamplingParams(stop=["x"]))
        generation = session.add([5], SamplingParams(max_tokens=3, ignore_eos=True))
        with pytest.raises(InputError, match="has no tokenizer"):
            next(generation.stream())
        assert generation.result(60).text == "" and len(generation.result().token_ids) == 3


def test_a_policy_under_which_nothing_runs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a number of decisions; the session goes on."""

    class Lazy:
        idle = True

        def decide(self, view: View) -> Plan:
            return Plan() if self.idle else FCFS().decide(view)

    monkeypatch.setattr(driver, "MAX_IDLE", 3)
    policy = Lazy()
    with live(policy) as session:
        done = session.add("hello", LONG).result(60)
        assert done.finish_reason == "abort" and "nothing ran in" in done.record.reason
        policy.idle = False
        assert session.add("hello", SamplingParams(max_tokens=2)).result(60).finish_reason == "length"
