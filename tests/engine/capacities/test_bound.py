"""No run of any policy passes the bound, nor what each request takes at least."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.metrics.percentile import percentile
from aptsched.policies.named import load_policy
from aptsched.policies.oracle import TrueLengths
from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from caches import cache_of
from engine.capacities.bound import Pool, bound_per_s, most_attained
from engine.loop.clock import SchedulingTime
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.models.known_models import MODELS
from engine.simulator.affine_time import affine_times
from engine.simulator.believed import believed
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.cost import Cost, by_fits, by_roofline
from engine.simulator.gpus import GPUS
from engine.simulator.roofline import Roofline
from engine.simulator.work import Work
from engine.state.pool import BlockPool
from engine.study.replay import Replay
from random_policy import RandomPolicy
from simulated import POLICIES, replay_of, replays

ALL_FORMS = (CacheForm.KV, CacheForm.HIDDEN, CacheForm.INT8, CacheForm.KEYS)
CACHE = cache_of(int8=Fraction(33, 64), keys=Fraction(9, 16))
COSTS = [
    *(cost(MODELS["opt-13b"], GPUS["a100-40gb"]) for cost in (by_fits, by_roofline)),
    by_roofline(MODELS["llama-2-7b"], GPUS["h100"]).rebuilding(),
    by_fits(MODELS["opt-66b"], GPUS["a100-80gb"], 4),
    by_roofline(MODELS["mixtral-8x7b"], GPUS["h100"], 2),
]
AMOUNTS = st.tuples(st.integers(0, 300), st.integers(1, 400), st.integers(0, 3), st.integers(0, 400))


def run(policy: Policy, replay: Replay, pool: Pool, cache: CacheShape) -> list[RequestRecord]:
    """The records of a run, in order of the requests."""
    records: list[RequestRecord] = []
    worker = Worker(
        policy,
        BlockPool(pool.num_blocks, cache, num_host_blocks=8),
        ComputedExecutor(pool.cost, cache),
        records.append,
        scheduling=SchedulingTime(0.0, 0.0),
        limits=Limits(max_tokens=64, max_seqs=pool.max_seqs, max_context=pool.max_context),
        times=believed(pool.cost),
    )
    Loop(worker).run(replay.requests())
    return sorted(records, key=lambda record: record.request_id)


def policy_of(name: str, replay: Replay, seed: int) -> tuple[Policy, Sequence[CacheForm]]:
    """A policy by its name, or one that draws its plans, and the forms that it may give."""
    if name == "drawn":
        return RandomPolicy(np.random.default_rng(seed), 0.02, wanted_forms=ALL_FORMS[2:]), ALL_FORMS
    oracle = TrueLengths(np.arange(len(replay)), replay.num_output_tokens)
    return load_policy(name, oracle=oracle), ALL_FORMS[: 1 if name == "aptserve:forms=kv" else 2]


def made_by(record: RequestRecord, moment_s: float) -> int:
    """How many tokens the request had by then."""
    return int(np.searchsorted(np.asarray(record.token_at_s), moment_s, side="right"))


@pytest.mark.parametrize("name", ["drawn", *POLICIES])
@settings(max_examples=15, deadline=None)
@given(
    replay=replays(),
    cost=st.sampled_from(COSTS),
    num_blocks=st.integers(3, 20),
    max_seqs=st.integers(1, 7),
    slo=st.builds(SLO, st.floats(0.02, 0.5), st.floats(0.01, 0.2)),
    seed=st.integers(0, 2**32),
)
def test_no_run_passes_the_bound(
    name: str, replay: Replay, cost: Cost, num_blocks: int, max_seqs: int, slo: SLO, seed: int
) -> None:
    """By any moment the tokens made took at least their least times; and no more requests attain than may."""
    policy, forms = policy_of(name, replay, seed)
    offered = CacheShape({form: ratio for form, ratio in CACHE.ratios.items() if form in forms})
    pool = Pool(cost, CACHE, forms, num_blocks, max_seqs, max_context=100)
    replay = Replay(replay.arrived_at_s, replay.num_prompt_tokens, replay.num_output_tokens, slo)
    records = run(policy, replay, pool, offered)
    ends = np.unique(np.concatenate([np.asarray(record.token_at_s) for record in records]))
    prompts = np.minimum(replay.num_prompt_tokens, pool.max_context)
    for way in pool.least_times():
        for moment_s in ends:
            made = np.array([made_by(record, moment_s) for record in records])
            assert way.seconds(prompts, made).sum() <= (moment_s - replay.arrived_at_s[0]) * (1 + 1e-9)
    for by_p99 in (False, True):
        attained = np.mean([_attains(record, by_p99) for record in records])
        assert attained <= most_attained(replay, 0.0, by_p99, pool.least_times()) + 1e-12


def _attains(record: RequestRecord, by_p99: bool) -> bool:
    """Whether every token came by its deadline, or the first one did and the P99 of the gaps is short enough."""
    at_s, slo = np.asarray(record.token_at_s), record.slo
    if record.outcome is not Outcome.FINISHED:
        return False
    due_s = record.arrived_at_s + slo.ttft_s + slo.tpot_s * np.arange(len(at_s))
    if by_p99:
        return bool(at_s[0] <= due_s[0]) and not percentile(np.diff(at_s), 99) > slo.tpot_s
    return bool((at_s <= due_s).all())


@settings(max_examples=300)
@given(cost=st.sampled_from(COSTS), amounts=st.lists(AMOUNTS, min_size=1, max_size=300))
def test_no_iteration_is_faster_than_the_affine_times(cost: Cost, amounts: list[tuple[int, int, int, int]]) -> None:
    """Of entries in any form: each some tokens cached, so many fed, as a decode where it is one after others."""
    work, sums = Work(), np.zeros(3)  # prefill tokens, decodes, context
    for start, fed, kind, _ in amounts:
        decode = fed == 1 and start > 0
        work.prefill_tokens += 0 if decode else fed
        work.decode_seqs += decode
        sums += (0 if decode else fed, decode, start)
        if kind == 1 and 0 < start and fed <= cost.absorb_up_to:
            work.absorbed_tokens += start
            work.absorbed_pairs += start * fed
            work.absorbing_tokens += fed
            work.prefill_squares += 0 if decode else fed * fed
        else:
            work.context_tokens += start
            work.prefill_squares += 0 if decode else fed * (2 * start + fed)
            work.rebuilt_tokens += start if kind == 1 else 0
    took_s = float(cost.seconds(work))
    for time in affine_times(cost, CACHE, ALL_FORMS[:2]):
        least = time.fixed_s + sums @ (time.prefill_s, time.decode_s, time.context_s)
        assert least <= took_s * (1 + 1e-12)


def by_hand() -> Pool:
    """A pass takes 1 s to read or 1 ms a token, KV alone, 10 blocks of 16 tokens: all else is free."""
    cost = Cost(Roofline(1.0, 1e-3, 0.0, 0.0), 0.0, 0.0, "for tests")
    return Pool(cost, cache_of(), (CacheForm.KV,), 10, 256, 200)


def test_what_a_request_takes_at_least_by_hand() -> None:
    """A prompt of 16 tokens holds a tenth of the pool for a pass of 1 s, its second and third token two tenths each."""
    reading = by_hand().least_times()[0]
    assert reading.seconds(np.array([16, 16, 16]), np.array([0, 1, 3])) == pytest.approx([0.0, 0.1, 0.5])


def test_most_that_can_attain_by_hand() -> None:
    """Of 30 prompts of one block with one token each, due 1 s after they came together, ten fit into that second."""
    replay = replay_of([(16, 1)] * 30, slo=SLO(1.0, 1.0))
    assert most_attained(replay, 0.0, False, by_hand().least_times()) == pytest.approx(10 / 30)


@pytest.mark.filterwarnings("error")
def test_the_shortest_objectives_are_all_due_at_once() -> None:
    """Whatever they are below a nanosecond: as many attain at most as with a nanosecond, and few of all."""
    ways = by_hand().least_times()
    found = [
        most_attained(replay_of([(16, 3)] * 30, slo=SLO(1.0, s)), 0.0, False, ways) for s in (1e-9, 1e-300, 5e-324)
    ]
    assert found[0] == found[1] == found[2] <= 3 / 30


def test_without_all_gaps_due_the_bound_is_on_first_tokens_alone() -> None:
    """By the P99 of its own gaps a request of over 100 owes one token: the rest may come at any time."""
    pool = by_hand()
    few, many = (replay_of([(16, number)] * 30, slo=SLO(1.0, 0.1)) for number in (3, 102))
    ways = pool.least_times()
    assert most_attained(few, 0.0, True, ways) == most_attained(few, 0.0, False, ways) == pytest.approx(2 / 30)
    assert most_attained(many, 0.0, True, ways) == pytest.approx(10 / 30)
    assert most_attained(many, 0.0, False, ways) == 0.0


def test_the_bound_is_the_rate_at_which_the_share_falls_below_the_level() -> None:
    """Prompts of one block and one token each, which come evenly: ten a second fit, and slightly more at the end."""

    def replay_at(rate_per_s: float) -> Replay:
        number = int(100 * rate_per_s)
        return replay_of([(16, 1)] * number, (np.arange(number) / rate_per_s).tolist(), SLO(1.0, 1.0))

    found = bound_per_s(replay_at, 0.0, 1.0, False, by_hand())
    assert 10.0 <= found <= 10.2
    assert bound_per_s(replay_at, 0.0, 0.5, False, by_hand()) == pytest.approx(2 * found, rel=0.01)
