"""Many requests at once on one session: each gets the text that it gets alone."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue

import numpy as np
import pytest

from aptsched.policies.aptserve import AptServe
from aptsched.policies.fcfs import FCFS
from aptsched.policies.sarathi import Sarathi
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.view import View
from engine.session.completion import Completion
from engine.session.engine import Engine
from engine.session.generation import Generation
from engine.session.session import Session
from engine.state.sampling_params import SamplingParams
from live import CONFIG, MOST_S, exact_model, in_time, together
from random_policy import RandomPolicy

NUM_REQUESTS, NUM_CLIENTS = 200, 8
NUM_AT_ONCE = 40  # requests that are there before the first decision, more than the pool holds
MODEL = exact_model()
OVER = -1  # to the one who aborts


@dataclass
class Asked:
    """A request, what it gets alone, and who ends it before: its reader after some pieces, or somebody else."""

    prompt: list[int]
    params: SamplingParams
    alone: Completion
    num_read: int | None
    is_shot: bool


@dataclass
class Watched:
    """A policy, which begins when it is let, and how often its plans feed chunks and preempt."""

    policy: Policy
    gate: threading.Event = field(default_factory=threading.Event)
    num_chunks: int = 0
    num_preemptions: int = 0

    def decide(self, view: View) -> Plan:
        """Its plan."""
        assert self.gate.wait(MOST_S), "nobody opens the gate"
        plan = self.policy.decide(view)
        self.num_chunks += int((plan.num_tokens < view.num_remaining[plan.request]).sum())
        self.num_preemptions += len(plan.preempt)
        return plan


def asked(engine: Engine, rng: np.random.Generator) -> Asked:
    """A random one; about half have stop strings, out of the text that comes without them."""
    prompt = rng.integers(3, CONFIG.vocab_size, int(rng.integers(1, 50))).tolist()
    params = SamplingParams(
        max_tokens=int(rng.integers(1, 50)),
        temperature=float(rng.choice([0, 1])),
        seed=int(rng.integers(1000)),
        ignore_eos=bool(rng.random() < 0.5),
    )
    alone = engine.generate([prompt], params)[0]
    if len(alone.text) > 3 and rng.random() < 0.5:
        start = int(rng.integers(len(alone.text) - 2))
        params = replace(params, stop=(alone.text[start : start + int(rng.integers(1, 5))], "never"))
        alone = engine.generate([prompt], params)[0]
        assert alone.finish_reason == "stop"
    num_read = int(rng.integers(0, 20)) if rng.random() < 0.2 else None
    return Asked(prompt, params, alone, num_read, bool(rng.random() < 0.1))


@pytest.fixture(scope="module")
def requests() -> list[Asked]:
    """Two hundred."""
    engine, rng = Engine(MODEL, num_blocks=10), np.random.default_rng(11)
    return [asked(engine, rng) for _ in range(NUM_REQUESTS)]


def serve(session: Session, requests: list[Asked], seed: int, shot: SimpleQueue[int]) -> None:
    """A client: adds its requests in a random order, holds several at once, and reads each as a stream or whole."""
    rng = np.random.default_rng(seed)
    held: list[tuple[Asked, Generation]] = []
    for row in rng.permutation(len(requests)).tolist():
        held.append((requests[row], session.add(requests[row].prompt, requests[row].params)))
        if requests[row].is_shot:
            shot.put(held[-1][1].request_id)
        while held and rng.random() < 0.4:
            check(*held.pop(int(rng.integers(len(held)))), bool(rng.random() < 0.7))
    for one, generation in held:
        check(one, generation, True)


def check(one: Asked, generation: Generation, as_stream: bool) -> None:
    """What is read is what it gets alone, or the beginning of that."""
    if one.num_read is not None:
        stream = generation.stream()
        text = "".join(piece for _, piece in zip(range(one.num_read), stream, strict=False))
        stream.close()
        end = generation.result(MOST_S)
        assert end.text.startswith(text)
    else:
        text = "".join(generation) if as_stream else generation.result(MOST_S).text
        end = generation.result(0)
        assert end.text == text
    assert one.alone.token_ids[: len(end.token_ids)] == end.token_ids
    if end.finish_reason != "abort":
        assert (end.text, end.finish_reason, end.stop_reason) == (
            one.alone.text,
            one.alone.finish_reason,
            one.alone.stop_reason,
        )
        assert end.token_ids == one.alone.token_ids
    else:
        assert one.is_shot or one.num_read is not None


def shoot(session: Session, shot: SimpleQueue[int]) -> None:
    """Aborts what it is told, in a thread of its own."""
    while (request_id := shot.get(timeout=MOST_S)) != OVER:
        session.abort(request_id)


@pytest.mark.parametrize(
    ("policy", "is_makers"),
    [
        ("fcfs", True),
        ("aptserve", True),
        ("sarathi", False),
        pytest.param("random", True, marks=pytest.mark.slow),
        pytest.param("random", False, marks=pytest.mark.slow),
    ],
)
def test_interleaved_requests_get_the_texts_that_they_get_alone(
    requests: list[Asked], policy: str, is_makers: bool
) -> None:
    """Two hundred, from eight threads, with aborts, on a pool that is short of blocks and a budget that is short.

    The thread that made the session is one of them, or not.
    """
    in_time(partial(check_interleaved, requests, policy, is_makers))


def check_interleaved(requests: list[Asked], policy: str, is_makers: bool) -> None:
    """As above."""
    policies: dict[str, Policy] = {
        "fcfs": FCFS(),
        "aptserve": AptServe(),
        "sarathi": Sarathi(chunk_tokens=24),
        "random": RandomPolicy(np.random.default_rng(5), idle_share=0.0),
    }
    watched, shot = Watched(policies[policy]), SimpleQueue[int]()
    engine = Engine(MODEL, watched, num_blocks=14, num_host_blocks=6, max_tokens=40, max_seqs=12)
    with engine.session as session:
        first = [(each, session.add(each.prompt, each.params)) for each in requests[:NUM_AT_ONCE]]
        watched.gate.set()
        clients = [
            partial(serve, session, requests[client::NUM_CLIENTS], client, shot) for client in range(NUM_CLIENTS)
        ]

        def serve_all() -> None:
            together(clients[1:], clients[0]) if is_makers else together(clients)
            for each, generation in first:
                check(each, generation, True)
            shot.put(OVER)

        together([partial(shoot, session, shot)], serve_all)
    assert watched.num_chunks > 0 and watched.num_preemptions > 0
    engine.pool.check_integrity()
    assert engine.pool.free_blocks == 14 and session.worker.num_unfinished == 0
