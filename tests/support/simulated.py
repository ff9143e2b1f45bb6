"""Small simulations: policies by name on a pool of a few blocks, with what each iteration did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from aptsched.policies.named import load_policy
from aptsched.policies.oracle import TrueLengths
from aptsched.scheduling.first_come import FirstCome, first_come_of
from aptsched.scheduling.plan import Plan, Policy, observer_of
from aptsched.scheduling.record import SLO, RequestRecord
from aptsched.scheduling.view import View
from caches import cache_of
from engine.loop.clock import SchedulingTime
from engine.loop.iteration import Iteration
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.simulator.believed import believed
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.cost import Cost
from engine.simulator.fits import DISTSERVE
from engine.simulator.skipping import Skipping
from engine.simulator.stretch import Stretch
from engine.simulator.swap_times import SwapTime
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.study.replay import Replay

COST = Cost(DISTSERVE["opt-13b", 1], 17e-6, 5e-4, "for tests")
MOST_ITERATIONS = 5_000
POLICIES = (
    *("fcfs", "vllm-v1", "sarathi", "sarathi:chunk_tokens=24", "random", "sjf", "fastserve", "priority", "aptserve"),
    *("aptserve:forms=kv", "aptserve:forms=hidden", "aptserve:order=fcfs", "aptserve:fallback=decaying"),
    *("fastgen", "qoserve", "qoserve:chunking=off:relegation=off:hybrid=off", "slai", "scorpio"),
    *("aptserve:as=paper", "aptserve:as=paper:forms=kv", "shed(vllm-v1)", "shed(aptserve)", "fitted(shed(sarathi))"),
    *("svf", "svf:lengths=true", "jitserve", "slos-serve"),
    *("past-future", "vtc", "andes", "andes:period=1:pressure=0.3", "wait", "wait:limit=3", "nested-wait", "alise"),
    *("nested-wait:limit=9", "alise:neighbours=2:aging_s=0.2"),
    *("bid-price", "bid-price:reject=off", "bid-price:forms=hybrid", "contract"),
)


@dataclass
class Seen:
    """What a policy saw and said, iteration by iteration."""

    policy: Policy
    views: list[View] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)

    def decide(self, view: View) -> Plan:
        """The policy's plan, kept."""
        plan = self.policy.decide(view)
        self.views.append(view)
        self.plans.append(plan)
        return plan

    def first_come(self, max_tokens: int, num_blocks: int) -> FirstCome | None:
        """The policy's rule, if it has one."""
        return first_come_of(self.policy, max_tokens, num_blocks)

    def on_record(self, record: RequestRecord) -> None:
        """Told to the policy, if it learns from records."""
        told = observer_of(self.policy)
        if told is not None:
            told(record)


@dataclass
class Served:
    """What came of a simulation."""

    seen: Seen
    pool: BlockPool
    records: list[RequestRecord] = field(default_factory=list)
    iterations: list[Iteration] = field(default_factory=list)

    def timeline(self) -> list[tuple[int, list[float]]]:
        """When each request had its tokens, by number."""
        return sorted((record.request_id, record.token_at_s.tolist()) for record in self.records)

    def admitted(self) -> list[int]:
        """Requests in the order in which they first ran."""
        order: list[int] = []
        for view, plan in zip(self.seen.views, self.seen.plans, strict=True):
            order += [number for number in view.request_id[plan.request].tolist() if number not in order]
        return order


def replay_of(
    lengths: Sequence[tuple[int, int]], arrived_at_s: Sequence[float] | None = None, slo: SLO | None = None
) -> Replay:
    """Requests of these prompts and outputs; without arrivals all come at 0."""
    prompts, outputs = np.array(lengths, np.int64).reshape(-1, 2).T
    arrived = np.zeros(len(lengths)) if arrived_at_s is None else np.array(arrived_at_s, np.float64)
    return Replay(arrived, prompts, outputs, slo or SLO())


def simulate(name: str, replay: Replay, num_blocks: int = 40, limits: Limits | None = None, **options: Any) -> Served:
    """Serve a replay with a policy by its name, as `serve`."""
    oracle = TrueLengths(np.arange(len(replay)), replay.num_output_tokens)
    return serve(load_policy(name, oracle=oracle), replay, num_blocks, limits, **options)


def serve(
    policy: Policy,
    replay: Replay,
    num_blocks: int = 40,
    limits: Limits | None = None,
    ratio: Fraction = Fraction(1, 2),
    scheduling: SchedulingTime | None = None,
    num_host_blocks: int = 0,
    cost: Cost = COST,
    skips: bool = False,
    past_ends: bool = True,
    on_stretch: Callable[[Stretch], object] = lambda stretch: None,
    on_token: Callable[[Request, int, float], object] | None = None,
    swap_time: SwapTime | None = None,
) -> Served:
    """Serve a replay; blocks are checked after every iteration, or after the last of those that are skipped."""
    pool = BlockPool(num_blocks, cache_of(ratio), num_host_blocks)
    served = Served(Seen(policy), pool)

    def on_iteration(iteration: Iteration) -> None:
        served.pool.check_integrity()
        assert iteration.number < MOST_ITERATIONS, f"{policy} gets nowhere"
        served.iterations.append(iteration)

    def taken(stretch: Stretch) -> None:
        served.pool.check_integrity()
        served.iterations.extend(stretch.iterations())
        on_stretch(stretch)

    executor = ComputedExecutor(cost, pool.cache, swap_time)
    worker = Worker(
        served.seen,
        served.pool,
        executor,
        served.records.append,
        scheduling=scheduling or SchedulingTime(),
        limits=limits,
        times=believed(cost),
        on_iteration=on_iteration,
        on_token=on_token,
        skip=Skipping(executor, taken, past_ends) if skips else None,
    )
    Loop(worker).run(replay.requests())
    return served


@st.composite
def replays(draw: st.DrawFn, max_requests: int = 6) -> Replay:
    """A few requests that come within some seconds, some of them too long for the pool or the context."""
    lengths = draw(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 12)), min_size=1, max_size=max_requests))
    longer = draw(st.sampled_from([None, (120, 3), (40, 120)]))
    if longer is not None:
        lengths.append(longer)
    arrived = sorted(draw(st.lists(st.integers(0, 20), min_size=len(lengths), max_size=len(lengths))))
    slo_s = draw(st.sampled_from([0.05, 1.0, 100.0]))
    return replay_of(lengths, [at / 20 for at in arrived], SLO(slo_s, slo_s))
