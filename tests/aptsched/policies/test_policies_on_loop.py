"""The policies on the serving loop: every request ends, with the tokens that it has when it is served alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.aptserve import AptServe
from aptsched.policies.named import load_policy
from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from caches import cache_of
from engine.loop.iteration import Iteration
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from hash_executor import VOCABULARY, HashExecutor, expected_tokens
from loop_runs import NO_SCHEDULING_TIME

TEXTS = [
    "fcfs",
    "fcfs:watermark=0",
    "aptserve",
    "aptserve:watermark=0:fallback=none",
    "aptserve:fallback=decaying:promote=off",
    "aptserve:forms=kv",
    "aptserve:forms=hidden",
    "aptserve:order=fcfs",
    "aptserve:charge=lifetime",
    "aptserve:charge=lifetime:order=fcfs",
    "aptserve:as=paper",
    "aptserve:as=paper:fallback=none",
    "aptserve:as=paper:forms=kv",
    "bid-price:reject=off",
    "fastgen",
    "qoserve",
    "slai",
]
TIMES = [
    IterationTime(),
    IterationTime(0.01, 1e-4, 1e-6).with_rebuilding(1e-3),
    IterationTime().with_rebuilding(1.0),
]


def requests_of(rng: np.random.Generator, num_requests: int, longest: int) -> list[Request]:
    """Requests that arrive in a burst."""
    arrived = np.sort(rng.integers(0, 64, num_requests)) / 64
    return [
        Request(
            request_id=i,
            arrived_at_s=float(arrived[i]),
            num_prompt_tokens=(n := int(rng.integers(1, longest))),
            params=SamplingParams(max_tokens=int(rng.integers(1, 20))),
            slo=SLO(float(rng.choice([0.05, 1.0])), float(rng.choice([0.01, 1.0]))),
            prompt_token_ids=rng.integers(0, VOCABULARY, n),
        )
        for i in range(num_requests)
    ]


def served(
    policy: Policy, requests: list[Request], num_blocks: int, cache: CacheShape, limits: Limits, times: IterationTime
) -> dict[int, RequestRecord]:
    """The records, by request; the pool is checked after each iteration."""
    pool, records = BlockPool(num_blocks, cache), dict[int, RequestRecord]()

    def check(iteration: Iteration) -> None:
        pool.check_integrity()
        assert iteration.number < 10_000, "requests preempt each other for ever"

    def keep(record: RequestRecord) -> None:
        records[record.request_id] = record

    executor = HashExecutor(num_blocks, cache)
    worker = Worker(
        policy,
        pool,
        executor,
        keep,
        scheduling=NO_SCHEDULING_TIME,
        limits=limits,
        times=times,
        on_iteration=check,
    )
    Loop(worker).run(requests)
    assert pool.free_blocks == num_blocks
    return records


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), text=st.sampled_from(TEXTS), times=st.sampled_from(TIMES))
def test_every_request_ends_with_its_tokens(seed: int, text: str, times: IterationTime) -> None:
    """Finished with the tokens of a request served alone, or rejected because the pool cannot hold it; never stuck."""
    rng = np.random.default_rng(seed)
    cache = cache_of([Fraction(1, 3), Fraction(1, 2), Fraction(3, 4), Fraction(2)][rng.integers(4)], 4)
    num_blocks = int(rng.integers(4, 30))
    limits = Limits(max_tokens=int(rng.integers(1, 60)), max_seqs=int(rng.integers(1, 12)), max_context=200)
    requests = requests_of(rng, int(rng.integers(1, 10)), longest=60)
    records = served(load_policy(text), requests, num_blocks, cache, limits, times)
    assert len(records) == len(requests)
    for request in requests:
        expected, record = expected_tokens(request, 200), records[request.request_id]
        assert record.outcome in (Outcome.FINISHED, Outcome.REJECTED)
        assert request.output_token_ids == expected[: len(request.output_token_ids)]
        if record.outcome is Outcome.FINISHED:
            assert request.output_token_ids == expected
        else:
            hybrid = text.startswith("aptserve") and "forms=kv" not in text and cache.offers(CacheForm.HIDDEN)
            per_block = cache.tokens_per_block(2 if hybrid else 1)
            assert request.num_tokens > num_blocks * per_block


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_with_one_request_all_policies_are_equal(seed: int) -> None:
    """Alone on a pool that is large enough, a request gets the same tokens at the same times."""
    records = []
    for text in [text for text in TEXTS if "hidden" not in text]:
        request = requests_of(np.random.default_rng(seed), 1, longest=150)
        limits = Limits(max_tokens=64)
        records.append(served(load_policy(text), request, 20, CacheShape(), limits, TIMES[1]))
    assert all(record == records[0] for record in records)


def test_the_same_requests_get_the_same_plans() -> None:
    """A policy keeps nothing: the same object serves the same requests twice at the same times."""
    policy = AptServe()
    twice = []
    for _ in range(2):
        requests = requests_of(np.random.default_rng(3), 20, longest=80)
        twice.append(served(policy, requests, 20, cache_of(block_size=4), Limits(64, 8, 200), TIMES[1]))
    assert twice[0] == twice[1]


def test_hidden_form_and_promotions_occur() -> None:
    """On a pool short of memory, with cheap rebuilding, some requests are promoted."""
    requests = requests_of(np.random.default_rng(5), 40, longest=80)
    cheap = IterationTime(0.01, 1e-3, 0.0, 1e-6)
    records = served(AptServe(), requests, 40, cache_of(block_size=4), Limits(256, 16, 200), cheap)
    assert sum(record.num_promotions for record in records.values()) > 0
