"""Requests served by the rule of a policy that serves in order of arrival: as if it had been asked each time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.vllm_v1 import VLLMv1
from aptsched.scheduling.record import SLO, RequestRecord
from aptsched.scheduling.view import VIEW_COLUMNS
from aptsched.support.errors import InputError
from caches import cache_of
from engine.loop.clock import SchedulingTime
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.models.known_models import MODELS
from engine.simulator import in_order
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.cost import by_roofline
from engine.simulator.gpus import GPUS
from engine.simulator.skipping import Skipping
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.study.replay import Replay
from simulated import COST, replay_of, serve, simulate

NAMES = ("fcfs", "fcfs:watermark=0", "fcfs:watermark=0.2", "vllm-v1", "sarathi", "sarathi:watermark=0")
CHUNKED = ("sarathi:chunk_tokens=24", "sarathi:chunk_tokens=5")
EXPERTS = by_roofline(MODELS["mixtral-8x7b"], GPUS["a100-80gb"], 2)
LENGTHS = st.tuples(st.integers(1, 80), st.integers(1, 60))
CROWDED = replay_of([(30, 60), (30, 60), (30, 60), (30, 60)], [0.0, 0.1, 0.2, 0.3])


@st.composite
def runs(draw: st.DrawFn) -> tuple[str, Replay, dict[str, Any]]:
    """A policy, requests that come while others are served, and a machine that is short of blocks or seats."""
    options: dict[str, Any] = {
        "num_blocks": draw(st.sampled_from([6, 8, 10, 14, 200])),
        "limits": Limits(draw(st.sampled_from([4, 16, 60, 256])), draw(st.sampled_from([1, 2, 4, 8])), 90),
        "ratio": draw(st.sampled_from([Fraction(1, 2), Fraction(1)])),
        "scheduling": draw(st.sampled_from([SchedulingTime(), SchedulingTime(0.0, 0.0)])),
        "cost": draw(st.sampled_from([COST, EXPERTS])),
    }
    name, lengths = draw(st.sampled_from(NAMES + CHUNKED)), draw(st.lists(LENGTHS, min_size=1, max_size=10))
    slo_s = draw(st.sampled_from([0.03, 0.3]))
    ends = [each.end_s for each in simulate(name, replay_of(lengths), **options).iterations]
    times = st.sampled_from([0.0, *ends]) | st.floats(0, max(ends))
    arrived = sorted(draw(st.lists(times, min_size=len(lengths), max_size=len(lengths))))
    return name, replay_of(lengths, arrived, SLO(slo_s, slo_s)), options


@settings(max_examples=50)
@given(runs(), st.booleans(), st.sampled_from([1, 7, in_order.MOST_ITERATIONS]))
def test_by_the_rule_all_is_as_if_the_policy_were_asked(
    run: tuple[str, Replay, dict[str, Any]], past_ends: bool, most: int
) -> None:
    """Records, iterations, and all that it sees whenever it is asked, to the last bit, wherever the rule leaves off."""
    name, replay, options = run
    single = simulate(name, replay, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_order, "MOST_ITERATIONS", most)
        skipped = simulate(name, replay, skips=True, past_ends=past_ends, **options)
    assert skipped.records == single.records
    assert [vars(each) for each in skipped.iterations] == [vars(each) for each in single.iterations]
    seen = {view.now_s: view for view in single.seen.views}
    for view in (each for each in skipped.seen.views if options["scheduling"].fixed_s):
        for column in VIEW_COLUMNS:
            assert getattr(view, column).tolist() == getattr(seen[view.now_s], column).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_with_a_rule_is_asked_once_while_somebody_runs(name: str) -> None:
    """Of four requests that take turns in a pool of 12 blocks: arrivals, preemptions and ends all go by the rule."""
    served = simulate(name, CROWDED, 12, skips=True)
    assert len(served.seen.plans) == 1
    assert sum(each.num_preemptions for each in served.iterations) > 0 and len(served.iterations) > 100


def test_prompts_in_chunks_go_by_the_rule() -> None:
    """Of a prompt of 100 tokens beside a decode, with 24 tokens an iteration: nobody is asked for its five chunks."""
    served = simulate("sarathi:chunk_tokens=24", replay_of([(10, 60), (100, 3)], [0.0, 0.1]), 40, skips=True)
    assert len(served.seen.plans) == 1
    assert [each.num_prefill_tokens for each in served.iterations if each.num_prefill_tokens] == [10, 23, 23, 23, 23, 8]


@pytest.mark.parametrize("name", ["vllm-v1", "fcfs"])
def test_who_can_never_be_served_is_refused_when_it_comes(name: str) -> None:
    """A prompt of 20 blocks, where the pool has 12, and one beyond the context length: as if asked each time."""
    replay = replay_of([(30, 60), (320, 5), (5, 60), (95, 2)], [0.0, 0.1, 0.2, 0.3])
    single = simulate(name, replay, 12, Limits(256, 8, 400))
    assert simulate(name, replay, 12, Limits(256, 8, 400), skips=True).records == single.records
    assert simulate(name, replay, 12, Limits(256, 8, 90), skips=True).records[0].outcome.name == "REJECTED"


def test_an_error_of_who_brings_the_requests_loses_none() -> None:
    """What was served until then is in their records, and every block is back."""
    records, pool = list[RequestRecord](), BlockPool(12, cache_of(Fraction(1, 2)))

    def requests() -> Iterator[Request]:
        yield from CROWDED.requests()
        raise ValueError("no more")

    executor = ComputedExecutor(COST, pool.cache)
    skip = Skipping(executor, lambda stretch: None)
    worker = Worker(VLLMv1(), pool, executor, records.append, scheduling=SchedulingTime(), skip=skip)
    with pytest.raises(ValueError, match="no more"):
        Loop(worker).run(requests())
    assert len(records) == 4 and records[0].num_output_tokens > 1
    assert pool.free_blocks == 12


def test_a_rule_that_is_none_is_refused() -> None:
    """One message says what the policy's method returned, and what is accepted."""

    class Says(VLLMv1):
        def first_come(self, max_tokens: int, num_blocks: int) -> Any:
            return max_tokens

    accepted = "^policy: first_come that returns int is not accepted; a FirstCome or None is$"
    with pytest.raises(InputError, match=accepted):
        serve(Says(), CROWDED, 12, skips=True)
