"""Loops on a computed clock that keep all that they say, with small policies and requests by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.record import SLO, RequestRecord
from aptsched.scheduling.view import View
from engine.loop.clock import SchedulingTime
from engine.loop.iteration import Iteration
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from hash_executor import VOCABULARY, HashExecutor

SEEDS = st.integers(0, 2**32 - 1)
EOS = (7,)
NO_SCHEDULING_TIME = SchedulingTime(0.0, 0.0)


class OneByOne:
    """Serves the first request alone, in KV form."""

    def decide(self, view: View) -> Plan:
        """A chunk as large as the budget."""
        num_tokens = min(int(view.num_remaining[0]), view.max_tokens)
        return Plan(np.array([0]), np.array([num_tokens]), np.array([CacheForm.KV]))


class All:
    """Serves all that the limits allow, in order of arrival, in KV form; short of blocks, it preempts the last."""

    def decide(self, view: View) -> Plan:
        """Whole prompts and decodes."""
        running = np.flatnonzero(view.running)
        need = view.cache.blocks(view.num_tokens, CacheForm.KV) - view.num_held
        preempt = running[-1:] if need[running].sum() > view.free_blocks else running[:0]
        rows = np.setdiff1d(np.arange(len(view.request_id)), preempt)[: view.max_seqs]
        rows = rows[view.num_remaining[rows].cumsum() <= view.max_tokens]
        return Plan(rows, view.num_remaining[rows], np.full(len(rows), CacheForm.KV), preempt)


@dataclass
class Idle:
    """Never serves anyone."""

    num_decisions: int = 0

    def decide(self, view: View) -> Plan:
        """Nothing."""
        self.num_decisions += 1
        return Plan()


@dataclass
class Run:
    """What a loop gave."""

    loop: Loop
    worker: Worker
    pool: BlockPool
    requests: list[Request]
    executor: HashExecutor
    records: list[RequestRecord] = field(default_factory=list)
    iterations: list[Iteration] = field(default_factory=list)
    streamed: list[tuple[int, int, float]] = field(default_factory=list)

    def record(self, request_id: int) -> RequestRecord:
        """The one record of a request."""
        (record,) = [record for record in self.records if record.request_id == request_id]
        return record


def make_requests(rng: np.random.Generator, count: int, longest: int = 60, max_tokens: int = 20) -> list[Request]:
    """Random requests in order of arrival; some have stop tokens, some ignore the end of text."""
    requests = []
    for request_id, arrived_at_s in enumerate(np.sort(rng.uniform(0, 0.5, count)).tolist()):
        prompt = rng.integers(0, VOCABULARY, rng.integers(1, longest + 1))
        params = SamplingParams(
            max_tokens=int(rng.integers(1, max_tokens + 1)),
            stop_token_ids=tuple(rng.integers(0, VOCABULARY, rng.integers(0, 3)).tolist()),
            ignore_eos=bool(rng.random() < 0.3),
        )
        requests.append(Request(request_id, arrived_at_s, len(prompt), params, SLO(0.2, 0.05), prompt))
    return requests


def request_of(request_id: int, num_prompt_tokens: int, arrived_at_s: float = 0.0, **params: Any) -> Request:
    """A request with the tokens 0, 1, ... as its prompt."""
    prompt = np.arange(num_prompt_tokens) % VOCABULARY
    return Request(request_id, arrived_at_s, num_prompt_tokens, SamplingParams(**params), prompt_token_ids=prompt)


def make_run(policy: Policy, requests: list[Request], num_blocks: int = 20, **options: Any) -> Run:
    """A loop on a computed clock that keeps all that it says."""
    cache, num_host_blocks = options.pop("cache", CacheShape()), options.pop("num_host_blocks", 0)
    pool = BlockPool(num_blocks, cache, num_host_blocks)
    executor = HashExecutor(num_blocks, cache, num_host_blocks=num_host_blocks)
    options.setdefault("limits", Limits(max_tokens=64, max_seqs=8, max_context=70))
    records: list[RequestRecord] = []
    options.setdefault("scheduling", NO_SCHEDULING_TIME)
    worker = Worker(policy, pool, executor, records.append, eos_token_ids=EOS, **options)
    run = Run(Loop(worker), worker, pool, requests, executor, records)
    worker.on_iteration = worker.on_iteration or run.iterations.append
    worker.on_token = worker.on_token or (
        lambda request, token, now_s: run.streamed.append((request.request_id, token, now_s))
    )
    return run


def callbacks(run: Run) -> list[tuple[Any, str]]:
    """What a run calls, each as the attribute of its owner: the policy, the executor, and who is told."""
    worker = run.worker
    told = [(worker, "on_token"), (worker, "on_iteration"), (worker.book, "on_record")]
    return [(worker.policy, "decide"), (run.executor, "run"), *told]


def check_conserved(run: Run) -> None:
    """Every request ends once, tokens are made once, time goes on, no block is lost."""
    assert sorted(record.request_id for record in run.records) == [request.request_id for request in run.requests]
    assert run.worker.num_unfinished == 0 and run.pool.free_blocks == run.pool.num_blocks
    assert run.pool.host.free_blocks == run.pool.num_host_blocks
    run.pool.check_integrity()
    for request in run.requests:
        record = run.record(request.request_id)
        assert record.token_at_s.tolist() == request.token_at_s.tolist()
        assert len(record.token_at_s) == len(request.output_token_ids)
        assert (request.arrived_at_s, *record.token_at_s) == tuple(sorted((request.arrived_at_s, *record.token_at_s)))
        streamed = [(token, now_s) for request_id, token, now_s in run.streamed if request_id == request.request_id]
        assert streamed == list(zip(request.output_token_ids, request.token_at_s, strict=True))
    ends = [0.0, *(end for each in run.iterations for end in (each.start_s, each.end_s))]
    assert all(now >= before - 1e-12 for before, now in pairwise(ends))
    assert [each.number for each in run.iterations] == list(range(len(run.iterations)))


def entry(num_tokens: int) -> Plan:
    """Feeds so many tokens of the first request, in KV form."""
    return Plan(np.array([0]), np.array([num_tokens]), np.array([CacheForm.KV]))


def saying(plans: list[Plan]) -> Policy:
    """A policy that says these plans, one after the other."""

    class Saying:
        def decide(self, view: View) -> Plan:
            return plans.pop(0)

    return Saying()
