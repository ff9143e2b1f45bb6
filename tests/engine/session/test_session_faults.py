"""What goes wrong in a session ends it with one clear error, and keeps nobody waiting."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.plan_check import PlanError
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from engine.models.text_stream import ByteStream
from engine.models.tokenizer import Tokenizer
from engine.session import driver
from engine.session.engine import Engine
from engine.session.generation import Generation
from engine.session.session import Session
from engine.state.batch import Batch, Step
from engine.state.sampling_params import SamplingParams
from live import MOST_S, exact_model, in_time, together

MODEL = exact_model()
LONG = SamplingParams(max_tokens=100, temperature=1.0, ignore_eos=True)


@dataclass
class After:
    """First come, first served; in its fourth decision it calls what it is given."""

    call: Callable[[], object]
    num_decisions: int = 0

    def decide(self, view: View) -> Plan:
        """The plan."""
        self.num_decisions += 1
        if self.num_decisions == 4:
            self.call()
        return FCFS().decide(view)


def fault() -> None:
    """What a policy may raise."""
    raise ZeroDivisionError("of the policy")


def end_of(generation: Generation) -> str:
    """What its stream raises after the text that came before."""
    try:
        list(generation)
    except ZeroDivisionError as error:
        return str(error)
    raise AssertionError("it has not failed")


def check_is_over(session: Session, message: str) -> None:
    """Later calls say why, and none waits."""
    for _ in range(2):
        with pytest.raises(InputError, match=message):
            session.add("hello", LONG)
    in_time(session.close)
    with pytest.raises(InputError, match=message):
        session.add("hello", LONG)


def test_what_a_policy_raises_ends_all_streams() -> None:
    """Each gets it, in whatever thread it waits; requests that were just added too."""
    session = Engine(MODEL, After(fault), num_blocks=60).session
    generations = session.add_all(["hello"] * 8, [LONG] * 8)
    found: list[str] = []
    together([partial(lambda each: found.append(end_of(each)), each) for each in generations])
    assert found == ["of the policy"] * 8
    check_is_over(session, r"for it has ended by ZeroDivisionError: of the policy; a new one is")


def test_what_an_executor_raises_ends_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when memory runs out."""
    engine = Engine(MODEL, num_blocks=60)

    def run(batch: Batch) -> Step:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine.executor, "run", run)
    with pytest.raises(RuntimeError, match="out of memory"):
        in_time(lambda: engine.generate(["hello", "the"], LONG))
    check_is_over(engine.session, "for it has ended by RuntimeError: out of memory")


def test_a_plan_that_is_not_legal_ends_the_session() -> None:
    """With the message of the plan's check."""

    class Wrong:
        def decide(self, view: View) -> Plan:
            return Plan(*np.array([[7], [1], [1]]))

    session = Engine(MODEL, Wrong(), num_blocks=60).session
    with pytest.raises(PlanError):
        session.add("hello").result(MOST_S)
    check_is_over(session, "for it has ended by PlanError")


@pytest.mark.parametrize(
    "wait",
    [
        lambda engine, held: list(held[0]),
        lambda engine, held: held[0].result(),
        lambda engine, held: engine.generate(["the"]),
        lambda engine, held: engine.generate(["the"], progress=lambda num_tokens: None),
        lambda engine, held: next(engine.stream("the")),
    ],
)
@pytest.mark.parametrize("patience_s", [0.0, MOST_S])
def test_waiting_within_an_iteration_is_refused(
    monkeypatch: pytest.MonkeyPatch, patience_s: float, wait: Callable[[Engine, list[Generation]], object]
) -> None:
    """It would wait for itself, in the session's thread or in its maker's: for a stream, a result, or a whole call."""
    monkeypatch.setattr(driver, "PATIENCE_S", patience_s)
    held: list[Generation] = []
    is_held = threading.Event()
    engine = Engine(MODEL, After(lambda: is_held.wait(MOST_S) and wait(engine, held)), num_blocks=60)
    held.append(engine.session.add("hello", LONG))
    is_held.set()
    with pytest.raises(InputError, match="session: waiting is not accepted within an iteration"):
        held[0].result(MOST_S)


@pytest.mark.parametrize("patience_s", [0.0, MOST_S])
def test_a_session_may_be_closed_within_an_iteration(monkeypatch: pytest.MonkeyPatch, patience_s: float) -> None:
    """By a policy: all end after that iteration, nothing waits for itself."""
    monkeypatch.setattr(driver, "PATIENCE_S", patience_s)
    engine = Engine(MODEL, After(lambda: engine.session.close()), num_blocks=60)
    done = engine.session.add("hello", LONG).result(MOST_S)
    assert done.finish_reason == "abort" and len(done.token_ids) == 4
    in_time(engine.session.close)


def test_a_policy_may_add_and_abort() -> None:
    """Requests of its own, which somebody else waits for."""
    added: list[Generation] = []
    engine = Engine(MODEL, After(lambda: added.append(engine.session.add("the", SamplingParams(5)))), num_blocks=60)
    with engine.session as session:
        assert session.add("hello", LONG).result(MOST_S).finish_reason == "length"
        assert added[0].result(MOST_S).finish_reason in ("length", "stop")


def test_text_that_the_tokenizer_cannot_make_ends_its_own_request_alone() -> None:
    """Where stop strings are looked for; who reads it gets the message."""

    class Failing:
        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return list(text.encode())

        def decode(self, token_ids: object) -> str:
            return ""

        def stream(self) -> ByteStream:
            def bytes_of(token_id: int) -> bytes:
                raise InputError(f"tokens: {token_id} has no text")

            return ByteStream(bytes_of)

    model = type(MODEL)("tiny", MODEL.decoder, Tokenizer(Failing()))
    with Engine(model, num_blocks=60).session as session:
        bad, good = session.add("hello", SamplingParams(50, stop=["x"])), session.add("hello", SamplingParams(9))
        with pytest.raises(InputError, match="has no text"):
            bad.result(MOST_S)
        assert len(bad._output.request.output_token_ids) == 1
        assert good.result(MOST_S).finish_reason in ("length", "stop")


@pytest.mark.usefixtures("as_in_a_terminal")
@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.generate(["hello", "the"], LONG),
        lambda engine: engine.generate(["hello", "the"], LONG, lambda num_tokens: None),
        lambda engine: list(engine.stream("hello", LONG)),
    ],
)
def test_ctrl_c_ends_the_call_and_not_the_engine(call: Callable[[Engine], object]) -> None:
    """It comes in the main thread, whatever that waits for; its requests are aborted, and the next call is served."""
    engine = Engine(MODEL, After(lambda: os.kill(os.getpid(), signal.SIGINT)), num_blocks=60)
    alone = Engine(MODEL, num_blocks=60).generate(["hello"], LONG)[0].text
    with pytest.raises(KeyboardInterrupt):
        call(engine)
    assert in_time(lambda: engine.generate(["hello"], LONG))[0].text == alone
    assert engine.session.worker.num_unfinished == 0
    assert engine.pool.free_blocks == 60


@pytest.mark.parametrize("starts", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_thread_that_could_not_be_started_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch, starts: bool, error: type[BaseException]
) -> None:
    """Ctrl-C or a lack of threads, before it runs or after: the request is aborted, the next one served."""
    policy, start, started = After(lambda: None), threading.Thread.start, list[threading.Thread]()
    session = Engine(MODEL, policy, num_blocks=60).session

    def interrupted(thread: threading.Thread) -> None:
        if starts:
            start(thread)
            started.append(thread)
        raise error

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(error) as caught:
        session.add("hello", LONG)
    monkeypatch.undo()
    for thread in started:  # it is not the session's, and ends at once
        thread.join(MOST_S)
    assert policy.num_decisions == 0 and caught.type is error  # whose traceback still holds the request
    assert session.add("hello", SamplingParams(5)).result(MOST_S).finish_reason in ("length", "stop")
    in_time(session.close)
    assert session.worker.num_unfinished == 0


def test_a_call_may_be_made_while_another_one_is_told_of_its_tokens() -> None:
    """Its callback runs in the caller's thread, where waiting is accepted."""
    engine, short = Engine(MODEL, num_blocks=60), SamplingParams(5, ignore_eos=True)
    texts: list[str] = []
    done = in_time(
        lambda: engine.generate(["hello"], short, lambda num_tokens: texts.append("".join(engine.stream("the", short))))
    )
    assert len(done[0].token_ids) == 5 and texts == [engine.generate(["the"], short)[0].text] * 5


def test_the_thread_is_there_while_there_is_anything_to_do() -> None:
    """A session that nobody uses has none, so it need not be closed."""
    engine = Engine(MODEL, num_blocks=60)
    before = set(threading.enumerate())
    generation = engine.session.add("hello", LONG)
    new = set(threading.enumerate()) - before
    assert len(new) <= 1
    generation.result(MOST_S)
    for thread in new:
        thread.join(MOST_S)
        assert not thread.is_alive()
    assert len(in_time(lambda: engine.generate(["hello"], LONG))[0].token_ids) == 100
