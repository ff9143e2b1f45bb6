"""The serving loop: any legal plan gives the same tokens, and every request ends exactly once."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.plan_check import PlanError
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from engine.loop.clock import NO_SCHEDULING_TIME, VirtualClock, WallClock
from engine.loop.iteration import Iteration
from engine.loop.limits import Limits
from engine.loop.loop import IDLE_S, MAX_IDLE, Loop
from engine.loop.worker import MAX_LATE, Worker
from engine.state.batch import Batch, Step
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from hash_executor import VOCABULARY, HashExecutor, expected_tokens
from random_policy import RandomPolicy

RATIOS = [Fraction(1, 3), Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(2)]
SEEDS = st.integers(0, 2**32 - 1)
EOS = (7,)


class OneByOne:
    """Serves the first request alone, in KV form."""

    def decide(self, view: View) -> Plan:
        num_tokens = min(int(view.num_remaining[0]), view.max_tokens)
        return Plan(np.array([0]), np.array([num_tokens]), np.array([CacheForm.KV]))


class All:
    """Serves all that the limits allow, in order of arrival, in KV form; short of blocks, it preempts the last."""

    def decide(self, view: View) -> Plan:
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
        assert record.token_at_s == tuple(request.token_at_s) and len(record.token_at_s) == len(
            request.output_token_ids
        )
        assert (request.arrived_at_s, *record.token_at_s) == tuple(sorted((request.arrived_at_s, *record.token_at_s)))
        streamed = [(token, now_s) for request_id, token, now_s in run.streamed if request_id == request.request_id]
        assert streamed == list(zip(request.output_token_ids, request.token_at_s, strict=True))
    ends = [0.0, *(end for each in run.iterations for end in (each.start_s, each.start_s + each.duration_s))]
    assert all(now >= before - 1e-12 for before, now in pairwise(ends))
    assert [each.number for each in run.iterations] == list(range(len(run.iterations)))


@settings(max_examples=50)
@given(
    SEEDS,
    st.sampled_from(RATIOS),
    st.sampled_from([4, 16]),
    st.integers(1, 24),
    st.integers(1, 25),
    st.sampled_from([0, 3, 20]),
)
def test_any_legal_plan_gives_the_same_tokens(
    seed: int, ratio: Fraction, block: int, num_blocks: int, count: int, num_host_blocks: int
) -> None:
    """Whatever forms, chunks, preemptions, swaps, promotions and orders a random policy draws."""
    rng, cache = np.random.default_rng(seed), CacheShape(ratio, block)
    requests = make_requests(rng, count)
    run = make_run(RandomPolicy(rng), requests, num_blocks, cache=cache, num_host_blocks=num_host_blocks)

    def check(iteration: Iteration) -> None:
        run.iterations.append(iteration)
        run.pool.check_integrity()
        in_use = iteration.num_kv_blocks + iteration.num_hidden_blocks
        assert in_use + iteration.num_free_blocks == num_blocks and iteration.scheduling_s == 0

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
    assert ratio < 1 or not run.executor.num_promotions
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


@given(SEEDS)
@settings(max_examples=40)
def test_a_request_may_be_aborted_at_any_moment(seed: int) -> None:
    """From the policy, the executor and every callback; its blocks come back, the others end as ever."""
    rng = np.random.default_rng(seed)
    requests = make_requests(rng, 12)
    run = make_run(RandomPolicy(rng, idle_share=0.3), requests, num_host_blocks=10)
    asked = set()

    def then(call: Callable[..., Any]) -> Callable[..., Any]:
        def aborting(*given: Any) -> Any:
            answer = call(*given)
            if rng.random() < 0.03:
                asked.add(request_id := int(rng.integers(len(requests))))
                run.worker.abort(request_id)
            return answer

        return aborting

    for owner, name in callbacks(run):
        setattr(owner, name, then(getattr(owner, name)))
    run.loop.run(requests)
    check_conserved(run)
    for request in requests:
        outcome, expected = run.record(request.request_id).outcome, expected_tokens(request, 70, EOS)
        assert outcome is Outcome.FINISHED or (outcome is Outcome.ABORTED and request.request_id in asked)
        assert request.output_token_ids == expected[: None if outcome is Outcome.FINISHED else len(request.token_at_s)]


def test_an_abort_between_steps_takes_effect_at_once() -> None:
    """The blocks are free before the next step."""
    run = make_run(All(), make_requests(np.random.default_rng(1), 3))
    for request in run.requests:
        run.loop.add(request)
    run.loop.step()
    held = run.pool.free_blocks
    run.worker.abort(0)
    assert run.record(0).outcome is Outcome.ABORTED and run.pool.free_blocks > held
    run.worker.abort(0)
    run.worker.abort(99)
    assert len(run.records) == 1


class Broken(BaseException):
    """Nothing that anybody expects."""


def disturb(run: Run, rng: np.random.Generator, given: list[Request], num_late: int) -> None:
    """Every callback, the policy and the executor now and then add, abort, close, or raise."""

    def act(where: str) -> None:
        loop, what = run.loop, rng.random()
        if what < 0.005:
            run.worker.close("closed")
        elif what < 0.1:
            run.worker.abort(int(rng.integers(40)))
        elif what < 0.3 and len(given) < num_late:
            arrived_at_s = loop.clock.now_s() + rng.choice([0.0, 0.0, 0.0, 0.1, -0.1])
            late = request_of(1000 + len(given), int(rng.integers(1, 80)), float(arrived_at_s), max_tokens=3)
            given.append(late)
            try:
                loop.add(late)
            except InputError:  # which is the answer to it
                given.remove(late)
        elif what < 0.32:
            raise [Broken, KeyboardInterrupt, SystemExit, ValueError][rng.integers(4)](where)

    def then(where: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def disturbed(*args: Any) -> Any:
            answer = call(*args)
            act(where)
            return answer

        return disturbed

    for owner, name in callbacks(run):
        setattr(owner, name, then(name, getattr(owner, name)))


def arriving(rng: np.random.Generator, given: list[Request]) -> Iterator[Request]:
    """Requests mostly in order; some are there twice, some arrive at no time, and the generator may raise."""
    for request in make_requests(rng, 20):
        what = rng.random()
        if what < 0.02:
            request.arrived_at_s = float(rng.choice([0.0, math.nan, math.inf, -math.inf, -1.0]))
        elif what < 0.04 and given:
            request = dataclasses.replace(given[-1])
        elif what < 0.06:
            raise [Broken, KeyboardInterrupt, ValueError][rng.integers(3)]("while arriving")
        given.append(request)
        yield request


@given(SEEDS, st.sampled_from(["random", "idle"]))
@settings(max_examples=150)
def test_whatever_ends_a_run_every_request_has_one_record(seed: int, name: str) -> None:
    """Callbacks that add, abort, close and raise; arrivals out of order, twice, at no time; a generator that raises."""
    rng = np.random.default_rng(seed)
    policy = Idle() if name == "idle" else RandomPolicy(rng, reject_share=0.05)
    run, given = make_run(policy, [], num_host_blocks=5), list[Request]()
    disturb(run, rng, given, num_late=60)
    try:
        reason = run.loop.run(arriving(rng, given))
    except (Broken, KeyboardInterrupt, SystemExit, ValueError):
        pass
    else:
        left = {record.reason for record in run.records if record.outcome is Outcome.UNFINISHED} - {"closed"}
        assert left == ({reason} if reason else set()) or (reason and not left)
    assert Counter(record.request_id for record in run.records) == Counter(request.request_id for request in given)
    assert run.worker.num_unfinished == 0 and run.pool.free_blocks == run.pool.num_blocks
    assert run.pool.host.free_blocks == run.pool.num_host_blocks
    run.pool.check_integrity()


def test_a_request_that_a_callback_adds_comes_behind_those_that_have_arrived() -> None:
    """One of the run's own arrived during the iteration; both are served."""
    requests = [request_of(0, 30, max_tokens=1), request_of(1, 9, 0.01, max_tokens=2)]
    run = make_run(All(), requests)

    def follow(record: RequestRecord) -> None:
        run.records.append(record)
        if record.request_id == 0:
            run.loop.add(request_of(2, 9, run.loop.clock.now_s(), max_tokens=2))

    run.worker.book.on_record = follow
    run.loop.run(requests)
    assert {record.request_id: record.outcome for record in run.records} == dict.fromkeys(range(3), Outcome.FINISHED)


def test_a_request_of_a_callback_may_not_come_before_those_of_the_run() -> None:
    """It would arrive after one that is still to come: the message says until when."""
    requests = [request_of(0, 9, max_tokens=1), request_of(1, 9, 5.0, max_tokens=1)]
    run, messages = make_run(All(), requests), []

    def early(record: RequestRecord) -> None:
        run.records.append(record)
        if record.request_id == 0:
            with pytest.raises(InputError) as caught:
                run.loop.add(request_of(2, 9, 7.0))
            messages.append(str(caught.value))

    run.worker.book.on_record = early
    run.loop.run(requests)
    assert messages == [
        "arrived_at_s: 7.0 of request 2 is not accepted; up to 5.0 is, when the next request of the run arrives"
    ]
    assert [record.outcome for record in run.records] == [Outcome.FINISHED] * 2


def test_a_callback_that_always_adds_does_not_keep_a_run_from_closing() -> None:
    """After so many its requests are refused; those before have their record."""
    run, added = make_run(Idle(), [request_of(0, 9)]), [0]

    def follow(record: RequestRecord) -> None:
        run.records.append(record)
        run.loop.add(request_of(len(added), 9, record.arrived_at_s))
        added.append(len(added))

    run.worker.book.on_record = follow
    with pytest.raises(InputError, match="none is once a run is over"):
        run.loop.run(run.requests)
    assert [record.request_id for record in run.records] == added and len(added) == 1 + MAX_LATE


@pytest.mark.parametrize("requests", [[None], ["request"]])
def test_what_is_no_request_is_refused(requests: list[Any]) -> None:
    """By its type; the requests behind it have their record."""
    run = make_run(All(), [request_of(0, 9)])
    with pytest.raises(InputError, match=r"requests: \w+ is not accepted; each is a Request"):
        run.loop.run([*requests, *run.requests])
    assert [record.outcome for record in run.records] == [Outcome.UNFINISHED]


@pytest.mark.parametrize("where", ["run", "decide", "on_token", "on_iteration", "on_record"])
@pytest.mark.parametrize("at", [1, 5])
def test_ctrl_c_ends_a_run_with_every_request_accounted_for(where: str, at: int) -> None:
    """Wherever it is pressed; those not yet arrived are unfinished too."""
    run = make_run(All(), make_requests(np.random.default_rng(3), 12), limits=Limits(64, 8, 70))
    num_calls = 0

    def pressing(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            nonlocal num_calls
            num_calls += 1
            if num_calls == at:
                signal.raise_signal(signal.SIGINT)
            return call(*given)

        return wrapped

    owner, name = next((owner, name) for owner, name in callbacks(run) if name == where)
    setattr(owner, name, pressing(getattr(owner, name)))
    with pytest.raises(KeyboardInterrupt):
        run.loop.run(run.requests)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    check_conserved(run)
    outcomes = Counter(record.outcome for record in run.records)
    assert outcomes[Outcome.UNFINISHED] and outcomes[Outcome.UNFINISHED] + outcomes[Outcome.FINISHED] == 12
    assert {record.reason for record in run.records if record.outcome is Outcome.UNFINISHED} == {"interrupted"}


@given(SEEDS)
@settings(max_examples=30)
def test_a_step_that_is_broken_off_can_be_gone_on_from(seed: int) -> None:
    """What the broken batch wrote or copied is fed again; tokens are as ever."""
    rng = np.random.default_rng(seed)
    run = make_run(RandomPolicy(rng), make_requests(rng, 8), num_host_blocks=10)
    whole = run.executor.run

    def breaking(batch: Batch) -> Step:
        if rng.random() < 0.1:
            raise KeyboardInterrupt
        step = whole(batch)
        if rng.random() < 0.1:
            raise KeyboardInterrupt
        return step

    for request in run.requests:
        run.loop.add(request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.executor, "run", breaking)
        while run.worker.num_unfinished:
            try:
                run.loop.step()
            except KeyboardInterrupt:
                run.pool.check_integrity()
    assert all(request.output_token_ids == expected_tokens(request, 70, EOS) for request in run.requests)


def saying(plans: list[Plan]) -> Policy:
    """A policy that says these plans, one after the other."""

    class Saying:
        def decide(self, view: View) -> Plan:
            return plans.pop(0)

    return Saying()


OUT, BACK = Plan(swap_out=np.array([0])), Plan(swap_in=np.array([0]))


def test_a_request_goes_on_after_a_swap_with_nothing_fed_again() -> None:
    """Of 30 tokens 20 are cached, go to the host and come back; the other 10 are fed, and then the decode."""
    plans = [entry(20), OUT, Plan(), BACK, entry(10), entry(1)]
    run = make_run(saying(plans), [request_of(0, 30, max_tokens=2, ignore_eos=True)], num_host_blocks=2)
    run.loop.run(run.requests)
    check_conserved(run)
    (record,) = run.records
    assert run.requests[0].output_token_ids == expected_tokens(run.requests[0], 70)
    assert (record.num_swap_outs, record.num_preemptions, record.num_recomputed_tokens) == (1, 0, 0)
    assert [each.num_prefill_tokens for each in run.iterations] == [20, 0, 0, 0, 10, 0]
    assert [each.num_swapped_blocks for each in run.iterations] == [0, 2, 0, 2, 0, 0]
    assert [(each.num_swap_outs, each.num_swap_ins) for each in run.iterations[1:4]] == [(1, 0), (0, 0), (0, 1)]
    assert [(each.num_kv_blocks, each.num_waiting) for each in run.iterations[:4]] == [(2, 0), (0, 0), (0, 0), (2, 0)]


@pytest.mark.parametrize("broken", [1, 2])
def test_what_was_being_swapped_when_a_step_was_broken_off_is_preempted(broken: int) -> None:
    """On its way out and on its way back: all 30 tokens are fed again."""
    plans = [entry(20), OUT, BACK, entry(30), entry(1)]
    run = make_run(saying(plans[: broken + 1] + plans[3:]), [request_of(0, 30, max_tokens=2)], num_host_blocks=2)
    run.loop.add(run.requests[0])
    for _ in range(broken):
        run.loop.step()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.executor, "run", lambda batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.loop.step()
    run.pool.check_integrity()
    assert (run.pool.free_blocks, run.pool.host.free_blocks) == (20, 2)
    while run.worker.num_unfinished:
        run.loop.step()
    (record,) = run.records
    assert run.requests[0].output_token_ids == expected_tokens(run.requests[0], 70, EOS)
    assert (record.num_swap_outs, record.num_preemptions, record.num_recomputed_tokens) == (1, 1, 20)


@pytest.mark.parametrize("end", ["preempt", "reject", "abort"])
def test_a_copy_on_the_host_is_dropped_with_its_request(end: str) -> None:
    """Preempted, given up or aborted while it is swapped out; the host's blocks are free again."""
    drop = {"abort": Plan(), "preempt": Plan(preempt=np.array([0])), "reject": Plan(reject=np.array([0]))}[end]
    run = make_run(saying([entry(20), OUT, drop, entry(30)]), [request_of(0, 30, max_tokens=1)], num_host_blocks=2)
    run.loop.add(run.requests[0])
    run.loop.step()
    run.loop.step()
    assert run.pool.host.free_blocks == 0
    if end == "abort":
        run.worker.abort(0)
    run.loop.step()
    run.pool.check_integrity()
    assert run.pool.host.free_blocks == 2 and run.pool.free_blocks == 20
    assert run.worker.num_unfinished == (end == "preempt")


def test_a_plan_that_is_not_legal_ends_the_run_with_every_request_accounted_for() -> None:
    """The error goes on to the caller; its message is the reason of those that did not end."""

    class Wrong(OneByOne):
        def decide(self, view: View) -> Plan:
            return super().decide(view) if view.now_s < 0.3 else Plan(request=np.array([-1]))

    run = make_run(Wrong(), make_requests(np.random.default_rng(4), 10))
    with pytest.raises(PlanError, match="request: row -1 is not accepted"):
        run.loop.run(run.requests)
    check_conserved(run)
    reasons = {record.reason for record in run.records if record.outcome is Outcome.UNFINISHED}
    (reason,) = reasons
    assert reason.startswith("PlanError: request: row -1")


def request_of(request_id: int, num_prompt_tokens: int, arrived_at_s: float = 0.0, **params: Any) -> Request:
    prompt = np.arange(num_prompt_tokens) % VOCABULARY
    return Request(request_id, arrived_at_s, num_prompt_tokens, SamplingParams(**params), prompt_token_ids=prompt)


def test_what_can_never_be_served_is_rejected_with_the_numbers() -> None:
    """A prompt of the whole context, an empty one, one larger than the pool in any form; the others go on."""
    lengths = [70, 0, 65, 64, 20]
    run = make_run(
        RandomPolicy(np.random.default_rng(0)), [request_of(i, n) for i, n in enumerate(lengths)], num_blocks=2
    )
    run.loop.run(run.requests)
    check_conserved(run)
    assert [run.record(i).outcome for i in (0, 1, 2, 4)] == [Outcome.REJECTED] * 3 + [Outcome.FINISHED]
    assert run.record(0).reason == "num_prompt_tokens: 70 is not accepted; 1 to 69 are, as the context length is 70"
    assert run.record(1).reason.startswith("num_prompt_tokens: 0 is not accepted")
    assert run.record(2).reason == "65 tokens need 5 blocks in KV form and 3 in hidden form; the pool has 2"
    assert run.record(3).reason.startswith("outgrew the pool: 65 tokens need 5 blocks in KV form and 3 in hidden form")
    assert len(run.record(3).token_at_s) == 1


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


def entry(num_tokens: int) -> Plan:
    """Feeds so many tokens of the first request, in KV form."""
    return Plan(np.array([0]), np.array([num_tokens]), np.array([CacheForm.KV]))


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


def test_a_policy_that_gives_up_says_so_with_numbers() -> None:
    """The loop writes what the request needs, and what there is."""

    class GivesUp(OneByOne):
        def decide(self, view: View) -> Plan:
            return Plan(reject=np.array([0])) if view.num_tokens[0] > 20 else super().decide(view)

    run = make_run(GivesUp(), [request_of(0, 19, max_tokens=5, ignore_eos=True), request_of(1, 30)])
    run.loop.run(run.requests)
    check_conserved(run)
    expected = "given up by the policy: 21 tokens need 2 blocks in KV form and 1 in hidden form; the pool has 20"
    assert (run.record(0).outcome, run.record(0).reason) == (Outcome.REJECTED, expected)
    assert len(run.record(0).token_at_s) == 2 and run.record(1).token_at_s == ()


def test_a_policy_that_idles_neither_spins_nor_waits_for_ever() -> None:
    """It is asked again at each arrival and after a while, and given up a while after the last arrival."""
    policy = Idle()
    run = make_run(policy, [request_of(i, 9, arrived_at_s=i * 2.5 * IDLE_S) for i in range(2)])
    assert run.loop.run(run.requests) == f"nothing ran in {MAX_IDLE} decisions in a row"
    check_conserved(run)
    assert {record.reason for record in run.records} == {f"nothing ran in {MAX_IDLE} decisions in a row"}
    starts = [each.start_s / IDLE_S for each in run.iterations[:5]]
    assert starts == pytest.approx([0, 1, 2, 2.5, 3.5])
    assert policy.num_decisions == 3 + MAX_IDLE  # three before the last arrival


def test_a_policy_that_idles_ends_where_arrivals_last_long() -> None:
    """As long as that takes: 20 s, which is more than the decisions after which it is given up."""
    policy = Idle()
    run = make_run(policy, [request_of(i, 9, arrived_at_s=10.0 * i) for i in range(3)])
    assert run.loop.run(run.requests) == f"nothing ran in {MAX_IDLE} decisions in a row"
    check_conserved(run)
    assert policy.num_decisions >= 20 / IDLE_S + MAX_IDLE


def test_a_policy_that_waits_for_the_last_arrival_is_heard_out() -> None:
    """It has idled for longer than it may once nothing is to arrive, and serves all then."""

    class Late(All):
        def decide(self, view: View) -> Plan:
            return super().decide(view) if view.now_s > 30.5 else Plan()

    run = make_run(Late(), [request_of(i, 9, arrived_at_s=15.0 * i) for i in range(3)])
    assert run.loop.run(run.requests) == ""
    check_conserved(run)
    assert {record.outcome for record in run.records} == {Outcome.FINISHED}


def test_entries_that_never_fit_do_not_deadlock() -> None:
    """Two requests that hold all blocks between them, under a policy that preempts no one."""

    class Stubborn:
        def decide(self, view: View) -> Plan:
            rows = np.arange(len(view.request_id))
            return Plan(rows, view.num_remaining, rows * 0 + 1)

    run = make_run(Stubborn(), [request_of(i, 16, max_tokens=40, ignore_eos=True) for i in range(2)], num_blocks=2)
    run.loop.run(run.requests)
    check_conserved(run)
    assert [len(record.token_at_s) for record in run.records] == [1, 1]


def test_times_and_objectives_are_those_of_the_clock() -> None:
    """Two requests by hand: 10 and 20 tokens at 1 ms each, with the second arriving while the first runs."""
    seen = []

    class Seeing(All):
        def decide(self, view: View) -> Plan:
            seen.append((view.now_s, view.request_id.tolist(), view.missed_slo.tolist(), view.pending_since_s.tolist()))
            return super().decide(view)

    requests = [
        request_of(0, 10, max_tokens=2, ignore_eos=True),
        request_of(1, 20, 0.005, max_tokens=2, ignore_eos=True),
    ]
    requests[0].slo = SLO(ttft_s=0.02, tbt_s=0.02)
    run = make_run(Seeing(), requests)
    run.loop.run(requests)
    assert run.record(0).token_at_s == pytest.approx((0.010, 0.031))
    assert run.record(1).token_at_s == pytest.approx((0.031, 0.032))
    assert [when for when, *_ in seen] == pytest.approx([0, 0.010, 0.031])
    assert [ids for _, ids, *_ in seen] == [[0], [0, 1], [1]]
    assert seen[1][2:] == ([False, False], pytest.approx([0.010, 0.005]))
    assert [(each.num_prefill_tokens, each.num_decode_tokens) for each in run.iterations] == [(10, 0), (20, 1), (0, 1)]
    assert [each.num_kv_blocks for each in run.iterations] == [1, 3, 2]


def test_a_request_that_missed_its_objective_is_marked() -> None:
    """After a first token later than its objective, and not before."""
    seen = []

    class Seeing(OneByOne):
        def decide(self, view: View) -> Plan:
            seen.append(view.missed_slo.tolist())
            return super().decide(view)

    request = request_of(0, 10, max_tokens=2, ignore_eos=True)
    request.slo = SLO(ttft_s=0.009, tbt_s=1.0)
    make_run(Seeing(), [request]).loop.run([request])
    assert seen == [[False], [True]]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (request_of(1, 5, 0.4), "arrived_at_s: 0.4 of request 1 is not accepted; 0.5 or later is, in order of arrival"),
        (request_of(1, 5, math.nan), "arrived_at_s: nan of request 1 is not accepted"),
        (request_of(0, 5, 0.5), "request_id: 0 is not accepted; numbers not being served are"),
    ],
)
def test_a_request_that_cannot_be_told_apart_or_comes_late_is_refused(second: Request, message: str) -> None:
    """The message names the request and what is accepted."""
    run = make_run(OneByOne(), [])
    run.loop.add(request_of(0, 5, 0.5))
    with pytest.raises(InputError, match=message):
        run.loop.add(second)


@pytest.mark.parametrize("limits", [{"max_tokens": 0}, {"max_seqs": 0}, {"max_context": 1}])
def test_limits_below_the_least_are_refused(limits: dict[str, int]) -> None:
    """The message names the field."""
    with pytest.raises(InputError, match=f"^{next(iter(limits))}: "):
        Limits(**limits)


def test_a_request_that_was_served_before_is_refused() -> None:
    """Its output would count twice."""
    run = make_run(OneByOne(), [request_of(0, 5)])
    run.loop.run(run.requests)
    with pytest.raises(InputError, match="tokens of request 0 are not accepted; requests without output are"):
        run.loop.run(run.requests)


def test_under_the_wall_clock_nobody_is_served_before_arrival() -> None:
    """Also in a thread, where Ctrl-C is not held."""
    requests = [request_of(i, 9, arrived_at_s=0.002 * i) for i in range(5)]
    run = make_run(All(), requests, scheduling=None)
    thread = threading.Thread(target=run.loop.run, args=(requests,))
    thread.start()
    thread.join()
    check_conserved(run)
    assert {record.outcome for record in run.records} == {Outcome.FINISHED}
    assert all(record.token_at_s[0] > record.arrived_at_s for record in run.records)


def test_clocks_never_go_back() -> None:
    """Waiting for what is past changes nothing, waiting for what is to come gets there."""
    for clock in (WallClock(), VirtualClock()):
        clock.wait_until(1e-4)
        before = clock.now_s()
        clock.wait_until(-1.0)
        assert before >= 1e-4 and clock.now_s() >= before
    virtual = VirtualClock()
    virtual.wait_until(0.25)
    assert virtual.now_s() == 0.25
    with pytest.raises(AssertionError):
        virtual.wait_until(math.inf)


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
