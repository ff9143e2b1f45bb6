"""The serving loop: any legal plan gives the same tokens, and every request ends exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from weakref import WeakSet

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheShape
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import Outcome, RequestRecord
from caches import cache_of
from engine.loop.iteration import Iteration
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.state.batch import Batch, Step
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from hash_executor import expected_tokens
from loop_runs import (
    EOS,
    NO_SCHEDULING_TIME,
    SEEDS,
    All,
    OneByOne,
    check_conserved,
    entry,
    make_requests,
    make_run,
    request_of,
    saying,
)
from random_policy import RandomPolicy
from strategies import RATIOS


@settings(max_examples=50)
@given(
    SEEDS,
    st.sampled_from(RATIOS),
    st.sampled_from([4, 16]),
    st.integers(1, 24),
    st.integers(1, 25),
    st.sampled_from([0, 3, 20]),
    st.sampled_from([Fraction(9, 32), Fraction(33, 64), Fraction(3, 2)]),
)
def test_any_legal_plan_gives_the_same_tokens(
    seed: int, ratio: Fraction, block: int, num_blocks: int, count: int, num_host_blocks: int, int8: Fraction
) -> None:
    """Whatever forms, chunks, preemptions, swaps, conversions and orders a random policy draws."""
    rng, cache = np.random.default_rng(seed), cache_of(ratio, block, int8=int8)
    requests = make_requests(rng, count)
    run = make_run(RandomPolicy(rng), requests, num_blocks, cache=cache, num_host_blocks=num_host_blocks)

    def check(iteration: Iteration) -> None:
        run.iterations.append(iteration)
        run.pool.check_integrity()
        assert sum(iteration.num_blocks_by_form) <= num_blocks and iteration.scheduling_s == 0

    run.worker.on_iteration = check
    run.loop.run(run.requests)
    check_conserved(run)
    for request in run.requests:
        expected, record = expected_tokens(request, 70, EOS), run.record(request.request_id)
        if record.outcome is Outcome.FINISHED:
            assert request.output_token_ids == expected
        else:
            assert record.outcome is Outcome.REJECTED and f"the pool has {num_blocks}" in record.reason
            assert request.output_token_ids == expected[: len(request.output_token_ids)]
            assert request.num_tokens > run.pool.max_request_tokens
    fed = sum(each.num_prefill_tokens + each.num_decode_tokens for each in run.iterations)
    again = sum(record.num_recomputed_tokens for record in run.records)
    served = [request for request in run.requests if request.output_token_ids]
    assert fed - again == sum(request.num_tokens - 1 for request in served)
    for name in ("num_preemptions", "num_promotions", "num_swap_outs"):
        assert sum(getattr(each, name) for each in run.iterations) == sum(getattr(each, name) for each in run.records)
    assert cache.conversions.any() or not run.executor.num_promotions
    assert run.executor.num_swapped_blocks == sum(each.num_swapped_blocks for each in run.iterations)
    assert num_host_blocks or not run.executor.num_swapped_blocks


@given(SEEDS)
@settings(max_examples=10)
def test_equal_seeds_give_equal_records(seed: int) -> None:
    """Iterations too, but for the real seconds of scheduling."""
    runs = []
    for _ in range(2):
        rng = np.random.default_rng(seed)
        run = make_run(RandomPolicy(rng, reject_share=0.02), make_requests(rng, 10))
        run.loop.run(run.requests)
        check_conserved(run)
        runs.append((run.records, [{**asdict(each), "scheduling_s": 0} for each in run.iterations]))
    assert runs[0] == runs[1]


def test_recomputed_is_what_was_lost_and_fed_again() -> None:
    """Of 30 tokens, 20 are cached and lost, then 15 fed again: 15 are recomputed. Lost once more, and 5 fed: 20."""
    plans = [entry(20), Plan(preempt=np.array([0])), entry(15), Plan(preempt=np.array([0])), entry(5)]
    run = make_run(saying(plans), [request_of(0, 30)])
    run.loop.add(run.requests[0])
    while run.worker.num_unfinished:
        if len(run.iterations) == 5:
            run.worker.abort(0)
        run.loop.step()
    assert (run.records[0].num_preemptions, run.records[0].num_recomputed_tokens) == (2, 20)


def test_the_context_length_ends_a_request_as_its_limit_does() -> None:
    """Prompt and output fill the context, and no more."""
    run = make_run(OneByOne(), [request_of(0, 60, max_tokens=50, ignore_eos=True)])
    run.loop.run(run.requests)
    assert run.record(0).outcome is Outcome.FINISHED and len(run.requests[0].output_token_ids) == 10


def test_a_stop_token_is_the_last_of_the_output() -> None:
    """The same request with the third token as stop token, and as end of text."""
    tokens = expected_tokens(request_of(0, 5), 70)
    third = tokens[2]
    assert tokens.index(third) == 2 and EOS[0] not in tokens
    stopping = request_of(0, 5, stop_token_ids=(third,), ignore_eos=True)
    for request, eos in ((stopping, ()), (request_of(0, 5), (third,)), (request_of(0, 5, ignore_eos=True), (third,))):
        run = make_run(OneByOne(), [request])
        run.worker.book.eos_token_ids = frozenset(eos)
        run.loop.run(run.requests)
        assert request.output_token_ids == (tokens if request.params.ignore_eos and eos else tokens[:3])


def test_ten_thousand_requests_leave_nothing_behind() -> None:
    """Requests, tables and pool: nothing is kept but what is served at a time."""

    class Fixed:
        def run(self, batch: Batch) -> Step:
            return Step(0.001, np.zeros(len(batch.requests), np.int64))

    alive, most_alive, num_ended = WeakSet[Request](), 0, 0

    def arriving() -> Iterator[Request]:
        for i in range(10_000):
            alive.add(request := Request(i, 0.0002 * i, 20, params))
            yield request

    def count(record: RequestRecord) -> None:
        nonlocal num_ended, most_alive
        num_ended += record.outcome is Outcome.FINISHED
        most_alive = max(most_alive, len(alive))

    params = SamplingParams(max_tokens=4)
    pool = BlockPool(200, CacheShape())
    worker = Worker(All(), pool, Fixed(), count, scheduling=NO_SCHEDULING_TIME)
    Loop(worker).run(arriving())
    table = worker.table
    assert (num_ended, pool.free_blocks, table.num_rows) == (10_000, 200, 0)
    assert most_alive < 100 and len(alive) <= 1
    assert len(table.request) <= 64 and not any(table.request) and pool.device.table.shape[0] <= 64


def test_a_run_that_is_given_up_ends_with_its_iteration() -> None:
    """The reason is returned, and is that of all requests that are left; the next run goes on to its end."""
    requests = [request_of(i, 5, arrived_at_s=0.1 * i, max_tokens=3, ignore_eos=True) for i in range(4)]
    run = make_run(All(), requests)
    run.worker.on_iteration = lambda iteration: run.loop.give_up("enough") if iteration.number == 1 else None
    assert run.loop.run(requests[:3]) == "enough" and run.worker.num_iterations == 2
    assert {record.reason for record in run.records} == {"enough"} and len(run.records) == 3
    assert run.loop.run(requests[3:]) == "" and run.record(3).outcome is Outcome.FINISHED
