"""Threads that do anything in any order with one session: nobody waits for ever, whatever ends it."""

from __future__ import annotations

import random
import threading
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
from live import MOST_S, exact_model, together

NUM_THREADS, NUM_CALLS = 6, 120
MODEL = exact_model()


class Fault(Exception):
    """What ends a session in its middle."""


@dataclass
class Failing:
    """Serves as Sarathi does; fails in a decision."""

    fails_at: float
    num_decisions: int = 0

    def decide(self, view: View) -> Plan:
        """The plan."""
        self.num_decisions += 1
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
    held: list[Generation] = field(default_factory=list)
    refusal: str = ""

    def run(self) -> None:
        """All calls."""
        calls = (self.add, self.add, self.read, self.walk_away, self.wait, self.wait_shortly, self.abort, self.let_go)
        for number in range(NUM_CALLS):
            if number == NUM_CALLS // 2:
                self.is_half.set()
            try:
                self.rng.choice(calls)()
            except Fault:
                return
            except InputError as error:
                self.refusal = str(error)
                return

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


@pytest.mark.parametrize("ended_by", ["nobody", "close", "a policy"])
def test_nobody_waits_for_ever(ended_by: str) -> None:
    """Six threads that add, read, walk away, wait, abort and let go; in the end all is over and all memory free."""
    policy = Failing(150 if ended_by == "a policy" else -1)
    engine = Engine(MODEL, policy, num_blocks=9, max_tokens=32, max_seqs=6)
    session, shared, is_half = engine.session, list[Generation](), threading.Event()
    clients = [Client(session, shared, is_half, random.Random(seed)) for seed in range(NUM_THREADS)]

    def close() -> None:
        assert is_half.wait(MOST_S)
        session.close()

    together([client.run for client in clients] + [close] * 2 * (ended_by == "close"))
    together([session.close])
    assert all(generation.is_over for client in clients for generation in (*shared, *client.held))
    refusals = {client.refusal for client in clients} - {""}
    if ended_by == "a policy":
        assert all("for it has ended by Fault" in refusal for refusal in refusals)
    else:
        assert (ended_by == "close") == bool(refusals) and all("for it is closed" in text for text in refusals)
        assert {generation.finish_reason for generation in shared} <= {"stop", "length", "abort"}
        engine.pool.check_integrity()
        assert engine.pool.free_blocks == 9 and session.worker.num_unfinished == 0
    for thread in threading.enumerate():
        if thread.name == "aptsched session":
            thread.join(MOST_S)
            assert not thread.is_alive()
