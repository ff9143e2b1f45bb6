"""Threads that do anything in any order with one session: nobody waits for ever, whatever ends it."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from aptsched.policies.sarathi import Sarathi
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from engine.session.engine import Engine
from engine.session.generation import Generation
from engine.session.session import Session
from engine.state.sampling_params import SamplingParams
from live import MOST_S, exact_model, in_time, together, wait_until

NUM_THREADS, NUM_CALLS = 6, 120
MODEL = exact_model()


class Fault(Exception):
    """What ends a session in its middle."""


@dataclass
class CtrlC:
    """Comes in the main thread, at most once from `arm` until `disarm` has returned, and at no other time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    is_armed: bool = False

    def arm(self) -> None:
        """From now on it may come."""
        self.is_armed = True

    def disarm(self) -> None:
        """From now on it does not; raises KeyboardInterrupt if it has come already."""
        with self.lock:
            self.is_armed = False
        os.getpid()  # a signal that is pending comes at the end of a system call

    def press(self) -> None:
        """Has it come, if it may."""
        with self.lock:
            if self.is_armed:
                self.is_armed = False
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@dataclass
class Failing:
    """Serves as Sarathi does; fails in a decision, and calls what it is given in every fifth."""

    fails_at: float
    call: Callable[[], None] = lambda: None
    num_decisions: int = 0

    def decide(self, view: View) -> Plan:
        """The plan."""
        self.num_decisions += 1
        if self.num_decisions % 5 == 0:
            self.call()
        if self.num_decisions == self.fails_at:
            raise Fault
        return Sarathi(chunk_tokens=16).decide(view)


@dataclass
class Client:
    """Calls the session at random, until the session is over or all calls are made.

    Attributes
    ----------
    shared : list of Generation
        Which all clients use; only ever appended to.
    """

    session: Session
    shared: list[Generation]
    is_half: threading.Event
    rng: random.Random
    wait_for_close: Callable[[], None] = lambda: None
    held: list[Generation] = field(default_factory=list)
    refusal: str = ""

    def run(self) -> None:
        """All calls, and one more when the session is closed, where it is."""
        calls = (self.add, self.add, self.read, self.walk_away, self.wait, self.wait_shortly, self.abort, self.let_go)
        try:
            for number in range(NUM_CALLS):
                if number == NUM_CALLS // 2:
                    self.is_half.set()
                self.make(self.rng.choice(calls))
            self.wait_for_close()
            self.add()
        except Fault:
            pass
        except InputError as error:
            self.refusal = str(error)

    def make(self, call: Callable[[], None]) -> None:
        call()

    def add(self) -> None:
        params = SamplingParams(self.rng.randint(1, 12), seed=self.rng.randint(0, 99), temperature=1.0, stop=["e", "t"])
        generation = self.session.add([self.rng.randint(3, 200)] * self.rng.randint(1, 30), params)
        (self.shared if self.rng.random() < 0.5 else self.held).append(generation)

    def some(self) -> list[Generation]:
        """One of its own or of all, if there is one."""
        among = self.held if self.rng.random() < 0.5 else self.shared
        return [self.rng.choice(among)] if among else []

    def read(self) -> None:
        for generation in self.some():
            text = "".join(generation)
            assert generation.result(0).text == text

    def walk_away(self) -> None:
        for generation in self.some():
            stream = self.session.stream(generation.request_id)
            next(stream, None)
            stream.close()  # type: ignore[attr-defined]

    def wait(self) -> None:
        for generation in self.some():
            assert self.session.result(generation.request_id, MOST_S).finish_reason is not None

    def wait_shortly(self) -> None:
        for generation in self.some():
            try:
                generation.result(1e-4)
            except TimeoutError:
                generation.abort()

    def abort(self) -> None:
        self.session.abort(self.rng.randint(0, NUM_THREADS * NUM_CALLS))

    def let_go(self) -> None:
        if self.held:
            self.held.pop(self.rng.randrange(len(self.held)))


@dataclass
class Interrupted(Client):
    """One in the main thread, where Ctrl-C comes: it goes on with the next call."""

    ctrl_c: CtrlC = field(default_factory=CtrlC)
    num_interrupted: int = 0

    def run(self) -> None:
        """A request of its own at first, in whose twelve iterations Ctrl-C comes."""
        with suppress(Fault, InputError):
            self.make(self.wait_long)
        super().run()

    def wait_long(self) -> None:
        self.session.add("hello", SamplingParams(12, ignore_eos=True)).result()

    def make(self, call: Callable[[], None]) -> None:
        try:
            self.ctrl_c.arm()
            try:
                call()
            finally:
                self.ctrl_c.disarm()
        except KeyboardInterrupt:
            self.num_interrupted += 1


@pytest.fixture
def in_main_in_time() -> Iterator[None]:
    """The main thread fails if it is not done in time."""

    def fail(number: int, frame: object) -> None:
        raise AssertionError("the main thread waits for what never comes")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(int(MOST_S))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("is_makers", [True, False])
@pytest.mark.parametrize("ended_by", ["nobody", "close", "a policy"])
def test_nobody_waits_for_ever(ended_by: str, is_makers: bool) -> None:
    """Six threads that add, read, walk away, wait, abort and let go; in the end all is over and all memory free.

    The thread that made the session is one of them, or not.
    """

    def check() -> None:
        session, shared, is_half = session_of(Failing(150 if ended_by == "a policy" else -1))
        clients = [Client(session, shared, is_half, random.Random(seed)) for seed in range(NUM_THREADS)]
        check_nobody_waits(clients, ended_by, is_makers)

    in_time(check)


@pytest.mark.usefixtures("as_in_a_terminal", "in_main_in_time")
@pytest.mark.parametrize("ended_by", ["nobody", "close", "a policy"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_nobody_waits_for_ever_when_ctrl_c_comes(ended_by: str, seed: int) -> None:
    """It comes while the maker of the session runs an iteration, waits for one, or does anything else."""
    ctrl_c = CtrlC()
    session, shared, is_half = session_of(Failing(250 if ended_by == "a policy" else -1, ctrl_c.press))
    maker = Interrupted(session, shared, is_half, random.Random(seed), ctrl_c=ctrl_c)
    others = [Client(session, shared, is_half, random.Random(10 * seed + each)) for each in range(1, NUM_THREADS)]
    check_nobody_waits([maker, *others], ended_by, True)
    assert maker.num_interrupted > 0


def session_of(policy: Failing) -> tuple[Session, list[Generation], threading.Event]:
    """A new one that is short of everything, and what its clients share."""
    engine = Engine(MODEL, policy, num_blocks=9, max_tokens=32, max_seqs=6)
    return engine.session, [], threading.Event()


def check_nobody_waits(clients: Sequence[Client], ended_by: str, is_makers: bool) -> None:
    """The clients run at once, the first in this thread if it is the maker's; all comes to its end."""
    session, shared, is_half = clients[0].session, clients[0].shared, clients[0].is_half
    here, others = (clients[0].run, clients[1:]) if is_makers else (lambda: None, clients)

    def close() -> None:
        assert is_half.wait(MOST_S)
        session.close()

    if ended_by == "close":
        for client in clients:
            client.wait_for_close = lambda: wait_until(lambda: session._driver._closed)

    together([client.run for client in others] + [close] * 2 * (ended_by == "close"), here)
    together([session.close])
    assert all(generation.is_over for client in clients for generation in (*shared, *client.held))
    refusals = {client.refusal for client in clients} - {""}
    if ended_by == "a policy":
        assert all("for it has ended by Fault" in refusal for refusal in refusals)
    else:
        assert (ended_by == "close") == bool(refusals) and all("for it is closed" in text for text in refusals)
        assert {generation.finish_reason for generation in shared} <= {"stop", "length", "abort"}
        session.worker.pool.check_integrity()
        assert session.worker.pool.free_blocks == 9 and session.worker.num_unfinished == 0
    for thread in threading.enumerate():
        if thread.name == "aptsched session":
            thread.join(MOST_S)
            assert not thread.is_alive()
