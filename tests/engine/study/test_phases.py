"""What requests did when: as the pool had it in every iteration."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from aptsched.policies.named import load_policy
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.models.known_models import MODELS
from engine.simulator.gpus import GPUS
from engine.state.pool import BlockPool
from engine.study.phases import IN_POOL, MAX_REQUESTS, NO_CACHE, ON_HOST, RequestPhases, phases_of, sampled
from engine.study.replay import Replay
from engine.study.serving import NamedPolicy, serve
from engine.study.simulation import Setup, simulated_server

SERVER = simulated_server(Setup(MODELS["opt-13b"], GPUS["a100-80gb"], num_blocks=60), Limits())
RNG = np.random.default_rng(7)
REPLAY = Replay(np.sort(RNG.uniform(0, 20, 80)), RNG.integers(1, 300, 80), RNG.integers(1, 90, 80), SLO(0.5, 0.05))
PLACES = {"waiting": NO_CACHE, "swapped": ON_HOST, "prefill": IN_POOL, "decode": IN_POOL, "held": IN_POOL}


def places(name: str) -> dict[int, list[tuple[float, float, int]]]:
    """By request: the start and end of each iteration, and where its cache was after that, while it was unfinished."""
    found: dict[int, list[tuple[float, float, int]]] = {}
    pool = BlockPool(SERVER.num_blocks, SERVER.cache, SERVER.num_host_blocks)
    worker = Worker(
        load_policy(name), pool, SERVER.executor, lambda record: None, scheduling=SERVER.scheduling, times=SERVER.times
    )

    def look(iteration: object) -> None:
        table = worker.table
        for row in range(table.num_rows):
            slot = table.slot[row]
            place = ON_HOST if pool.host.num_held[slot] else IN_POOL if slot else NO_CACHE
            span = (iteration.start_s, iteration.end_s, place)  # type: ignore[attr-defined]
            found.setdefault(int(table.request_id[row]), []).append(span)

    worker.on_iteration = look
    Loop(worker).run(REPLAY.requests())
    return found


def phase_at(request: RequestPhases, now_s: float) -> str:
    return request.phase[int(np.searchsorted(request.start_s, now_s, side="right")) - 1]


@pytest.mark.parametrize("name", ["fcfs", "vllm-v1", "fastserve", "aptserve"])
def test_caches_are_where_the_pool_has_them(name: str) -> None:
    """In the middle of every iteration, though the meter looks at few, and stretches of others are taken at once."""
    run = serve(NamedPolicy(name, lambda: load_policy(name)), REPLAY, SERVER)
    truth = places(name)
    assert len(run.phases) == len(run.records)
    for request in run.phases:
        assert all(a < b for a, b in pairwise((*request.start_s, request.end_s)))
        for start_s, end_s, place in truth.get(request.request_id, []):
            assert PLACES[phase_at(request, (start_s + end_s) / 2)] == place
    names = {phase for request in run.phases for phase in request.phase}
    assert {"waiting", "prefill", "decode"} <= names and ("swapped" in names) == (name == "fastserve")


def test_a_run_that_may_end_early_notes_none() -> None:
    """Its records are those of a whole one, and nobody reads its phases."""
    policy = NamedPolicy("fcfs", lambda: load_policy("fcfs"))
    whole, probe = serve(policy, REPLAY, SERVER), serve(policy, REPLAY, SERVER, is_enough=lambda record: False)
    assert whole.phases and not probe.phases
    assert [r.token_at_s.tolist() for r in probe.records] == [r.token_at_s.tolist() for r in whole.records]


def test_a_prefill_ends_with_its_token_and_a_long_gap_is_held() -> None:
    """By hand: cached from 1 s, tokens at 2, 3 and 9 s with a TPOT of 2 s; preempted at 9.5 s, again from 11 s on."""
    record = RequestRecord(
        request_id=4,
        arrived_at_s=0.0,
        num_prompt_tokens=9,
        slo=SLO(1.0, 2.0),
        token_at_s=np.array([2.0, 3.0, 9.0, 12.0]),
        outcome=Outcome.FINISHED,
        num_preemptions=1,
        num_promotions=0,
        num_swap_outs=0,
        num_recomputed_tokens=9,
        tenant=0,
        priority=0,
    )
    found = phases_of(record, [(1.0, IN_POOL), (9.5, NO_CACHE), (11.0, IN_POOL)])
    assert found == RequestPhases(
        4,
        (0.0, 1.0, 2.0, 3.0, 9.0, 9.5, 11.0),
        ("waiting", "prefill", "decode", "held", "decode", "waiting", "prefill"),
        12.0,
    )


def test_requests_are_sampled_evenly() -> None:
    """All where there are few; else so many, from the first that counts on, as far apart as can be."""
    assert sampled(7, 2).tolist() == [2, 3, 4, 5, 6] and sampled(3, 3).tolist() == []
    many = sampled(1050, 50)
    assert len(many) == MAX_REQUESTS and many[0] == 50 and set(np.diff(many)) == {10}
