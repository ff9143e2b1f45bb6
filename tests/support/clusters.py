"""Workers on one computed clock that keep all that they say, serving replays without tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from aptsched.policies.named import load_policy
from aptsched.policies.oracle import TrueLengths
from aptsched.scheduling.forms import CacheShape
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import RequestRecord
from engine.cluster.router import Router
from engine.loop.clock import SchedulingTime
from engine.loop.iteration import Iteration
from engine.loop.limits import Limits
from engine.loop.worker import Worker
from engine.simulator.believed import believed
from engine.simulator.computed_executor import ComputedExecutor
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.study.replay import Replay
from simulated import COST


@dataclass
class Recorded:
    """A worker, and what it said."""

    worker: Worker
    records: list[RequestRecord] = field(default_factory=list)
    iterations: list[Iteration] = field(default_factory=list)


def worker_with(policy: Policy, num_blocks: int = 40, scheduling: SchedulingTime | None = None) -> Recorded:
    """A worker of a few blocks; blocks are checked after every iteration."""
    records, pool = list[RequestRecord](), BlockPool(num_blocks, CacheShape(), 10)
    worker = Worker(
        policy,
        pool,
        ComputedExecutor(COST, pool.cache),
        records.append,
        scheduling=scheduling or SchedulingTime(),
        limits=Limits(max_tokens=64, max_seqs=8, max_context=150),
        times=believed(COST),
    )
    recorded = Recorded(worker, records)

    def on_iteration(iteration: Iteration) -> None:
        pool.check_integrity()
        recorded.iterations.append(iteration)

    worker.on_iteration = on_iteration
    return recorded


def workers_of(names: Sequence[str], replay: Replay, scheduling: SchedulingTime | None = None) -> list[Recorded]:
    """A worker for each of the policies, by name."""
    oracle = TrueLengths(np.arange(len(replay)), replay.num_output_tokens)
    return [worker_with(load_policy(name, oracle=oracle), scheduling=scheduling) for name in names]


@dataclass
class Routed:
    """A router whose answers are kept, by the number of the request."""

    router: Router
    watch: Callable[[], object] = lambda: None
    answers: dict[int, Worker] = field(default_factory=dict)

    def route(self, request: Request, workers: Sequence[Worker]) -> Worker:
        """The answer of the router."""
        self.watch()
        worker = self.router.route(request, workers)
        self.answers[request.request_id] = worker
        return worker
