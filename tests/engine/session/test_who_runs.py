"""The thread that made a session runs its worker while it waits; otherwise a thread of the session's own does."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from engine.session import driver, generation, output
from engine.session.completion import Completion
from engine.session.engine import Engine
from engine.session.session import Session
from engine.state.batch import Batch, Step
from engine.state.sampling_params import SamplingParams
from live import MOST_S, exact_model, in_time, together, wait_until

MODEL = exact_model()
LONG = SamplingParams(max_tokens=60, temperature=1.0, ignore_eos=True)
SHORT = SamplingParams(max_tokens=5, temperature=1.0, ignore_eos=True)


@dataclass
class Threads:
    """First come, first served; remembers the threads that decide, and calls what it is given in each decision."""

    call: Callable[[int], object] = lambda num_decisions: None
    seen: list[threading.Thread] = field(default_factory=list)

    def decide(self, view: View) -> Plan:
        """The plan."""
        self.seen.append(threading.current_thread())
        self.call(len(self.seen))
        return FCFS().decide(view)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is left to the maker of the session for as long as a test takes."""
    monkeypatch.setattr(driver, "PATIENCE_S", 10 * MOST_S)


def alone(prompt: str, params: SamplingParams) -> Completion:
    """What it gets alone."""
    return Engine(MODEL, num_blocks=60).generate([prompt], params)[0]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "wait",
    [
        lambda engine: engine.session.add("hello", LONG).result(),
        lambda engine: engine.session.add("hello", LONG).result(MOST_S),
        lambda engine: list(engine.stream("hello", LONG)),
        lambda engine: engine.generate(["hello", "the"], [LONG, SHORT]),
        lambda engine: engine.generate(["hello", "the"], [SHORT, LONG], lambda num_tokens: None),
    ],
)
def test_the_maker_runs_every_iteration_while_it_waits(wait: Callable[[Engine], object]) -> None:
    """Whatever it waits for: nothing is computed in a second thread."""
    policy = Threads()
    wait(Engine(MODEL, policy, num_blocks=60))
    assert policy.seen == [threading.current_thread()] * 60


def test_other_threads_run_none() -> None:
    """Six that wait at once: the session's own thread runs all iterations."""
    policy = Threads()
    session = Engine(MODEL, policy, num_blocks=60).session
    together([lambda: session.add("hello", LONG).result()] * 6)
    assert {thread.name for thread in policy.seen} == {"aptsched session"}


def test_requests_that_nobody_waits_for_are_served() -> None:
    """In the session's own thread, which ends when they are over."""
    session = Engine(MODEL, num_blocks=60).session
    before = set(threading.enumerate())
    added = session.add_all(["hello", "the"], LONG)
    for thread in set(threading.enumerate()) - before:
        thread.join(MOST_S)
    assert [each.is_over for each in added] == [True, True]
    assert added[0].result(0).token_ids == alone("hello", LONG).token_ids


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("progress", [None, lambda num_tokens: None])
def test_nothing_holds_an_engine_that_is_not_used_any_more(progress: Callable[[int], None] | None) -> None:
    """When `generate` returns, the session's thread is over: the engine's memory is free once nobody refers to it."""
    for _ in range(5):
        engine = Engine(MODEL, num_blocks=60)
        executor, before = weakref.ref(engine.executor), set(threading.enumerate())
        engine.generate(["hello", "the"], SHORT, progress)
        assert set(threading.enumerate()) <= before
        del engine
        gc.collect()
        assert executor() is None


def test_a_stream_that_is_not_read_holds_nobody_up() -> None:
    """Between two pieces its reader does not run the worker: requests of others are served, and its own goes on."""
    session = Engine(MODEL, num_blocks=60).session
    held = session.add("hello", LONG)
    stream = held.stream()
    first = next(stream)
    assert in_time(lambda: session.add("the", LONG).result()).token_ids == alone("the", LONG).token_ids
    assert in_time(held.result).finish_reason == "length"
    assert first + "".join(stream) == alone("hello", LONG).text


@pytest.mark.usefixtures("patient")
def test_one_whose_request_ends_first_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maker's own is over after 5 tokens; the other one, which it serves until then, gets the rest in time."""
    policy = Threads(lambda num_decisions: monkeypatch.setattr(driver, "PATIENCE_S", 0.0))
    session = Engine(MODEL, policy, num_blocks=60).session
    held = session.add("hello", LONG)
    session.add("the", SHORT).result()
    assert in_time(held.result).token_ids == alone("hello", LONG).token_ids
    assert policy.seen[:5] == [threading.current_thread()] * 5
    assert [thread.name for thread in policy.seen[5:]] == ["aptsched session"] * 55


@pytest.mark.usefixtures("patient")
def test_time_is_looked_at_after_each_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """With iterations of a second, a maker that waits for 7 seconds at most runs 7 of them, and no more later."""
    now_s = 0.0

    def pass_by(num_decisions: int) -> None:
        nonlocal now_s
        now_s += 1.0

    for module in (driver, output, generation):
        monkeypatch.setattr(module, "monotonic", lambda: now_s, raising=False)
    policy = Threads(pass_by)
    held = Engine(MODEL, policy, num_blocks=60).session.add("hello", LONG)
    for timeout_s, num_decisions in ((7.0, 7), (0.0, 7), (2.5, 10)):
        with pytest.raises(TimeoutError, match="not over within the time"):
            held.result(timeout_s)
        assert policy.seen == [threading.current_thread()] * num_decisions
    assert held.result().token_ids == alone("hello", LONG).token_ids


def interrupting_policy(engine: Engine, press: Callable[[int], None]) -> None:
    """Ctrl-C while the policy decides."""
    policy = engine.session.worker.policy
    assert isinstance(policy, Threads)
    policy.call = press


def interrupting_executor(engine: Engine, press: Callable[[int], None]) -> None:
    """Ctrl-C when the cache is written, and no token is known yet."""
    run, num_runs = engine.executor.run, iter(range(1, 10**6))

    def pressed(batch: Batch) -> Step:
        step = run(batch)
        press(next(num_runs))
        return step

    engine.executor.run = pressed  # type: ignore[method-assign]


@pytest.mark.usefixtures("as_in_a_terminal", "patient")
@pytest.mark.parametrize("interrupting", [interrupting_policy, interrupting_executor])
@pytest.mark.parametrize(
    "wait",
    [
        lambda engine: engine.session.add("the", LONG).result(),
        lambda engine: engine.generate(["the", "12"], LONG),
        lambda engine: engine.generate(["the", "12"], LONG, lambda num_tokens: None),
        lambda engine: list(engine.stream("the", LONG)),
    ],
)
def test_ctrl_c_in_the_one_who_runs_the_worker_loses_nothing(
    interrupting: Callable[[Engine, Callable[[int], None]], None], wait: Callable[[Engine], object]
) -> None:
    """Its call ends in the iteration; the others' requests, preempted if the batch was under way, get their tokens."""
    policy = Threads()
    engine = Engine(MODEL, policy, num_blocks=60)

    def press(number: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        if number in (4, 9):
            os.kill(os.getpid(), signal.SIGINT)

    interrupting(engine, press)
    other = engine.session.add("hello", LONG)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            wait(engine)
    done = other.result()
    assert done.token_ids == alone("hello", LONG).token_ids
    assert done.record.num_preemptions == (0 if interrupting is interrupting_policy else 2)
    engine.session.close()
    assert engine.session.worker.num_unfinished == 0
    engine.pool.check_integrity()
    assert engine.pool.free_blocks == 60


@pytest.mark.usefixtures("patient")
def test_an_error_reaches_who_runs_the_worker_and_who_waits_elsewhere() -> None:
    """The policy fails in the maker's thread while another one waits."""
    waits = threading.Event()

    def fail(num_decisions: int) -> None:
        assert waits.wait(MOST_S)
        raise ZeroDivisionError("of the policy")

    session = Engine(MODEL, Threads(fail), num_blocks=60).session
    both = session.add_all(["hello", "the"], LONG)
    found: list[str] = []

    def read() -> None:
        try:
            for _ in output.news([both[1]._output]):
                waits.set()
            both[1].result()
        except ZeroDivisionError as error:
            found.append(str(error))

    other = threading.Thread(target=read, daemon=True)
    other.start()
    with pytest.raises(ZeroDivisionError, match="of the policy"):
        both[0].result()
    other.join(MOST_S)
    assert found == ["of the policy"]
    in_time(session.close)


@pytest.mark.usefixtures("patient")
def test_close_waits_for_whoever_runs_the_worker() -> None:
    """Another thread closes the session while its maker runs it: all is over after that iteration, for both."""
    closed: list[int] = []
    closing: list[threading.Thread] = []

    def close() -> None:
        session.close()
        closed.append(session.worker.num_unfinished)

    def begin(num_decisions: int) -> None:
        if num_decisions == 3:
            closing.append(threading.Thread(target=close, daemon=True))
            closing[0].start()
            wait_until(lambda: session._driver._closed)
            assert not closed

    session: Session = Engine(MODEL, Threads(begin), num_blocks=60).session
    done = session.add("hello", LONG).result()
    assert done.finish_reason == "abort" and done.record.reason == "the session was closed"
    assert len(done.token_ids) == 3
    closing[0].join(MOST_S)
    assert closed == [0]


def test_two_threads_take_turns_without_end() -> None:
    """A maker that comes and goes, reading a stream, while another thread waits: each gets what it gets alone."""
    session = Engine(MODEL, num_blocks=60).session
    texts = {prompt: alone(prompt, LONG).text for prompt in ("hello", "the")}

    def read(prompt: str) -> None:
        for _ in range(4):
            assert "".join(walk(session, prompt)) == texts[prompt]

    other = threading.Thread(target=partial(together, [partial(read, "the")] * 2), daemon=True)
    other.start()
    read("hello")
    other.join(MOST_S)
    assert not other.is_alive()


def walk(session: Session, prompt: str) -> Iterator[str]:
    """The pieces of its text."""
    yield from session.add(prompt, LONG).stream()
