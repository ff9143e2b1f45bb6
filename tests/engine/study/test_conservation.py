"""Whatever the policy: every request ends once, tokens are made once, memory and time hold."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.named import CLASSES
from aptsched.scheduling.record import Outcome
from engine.loop.clock import SchedulingTime
from engine.loop.limits import Limits
from engine.study.replay import Replay
from simulated import POLICIES, Served, replay_of, replays, simulate

LIMITS = st.builds(Limits, max_tokens=st.integers(16, 150), max_seqs=st.integers(1, 7), max_context=st.just(100))


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=12, deadline=None)
@given(replay=replays(), limits=LIMITS, num_blocks=st.integers(3, 20), num_host_blocks=st.sampled_from([0, 8, 60]))
def test_conservation(name: str, replay: Replay, limits: Limits, num_blocks: int, num_host_blocks: int) -> None:
    """Each request ends once, finished with all its tokens or rejected with a reason; blocks and time are conserved."""
    check_served(simulate(name, replay, num_blocks, limits, num_host_blocks=num_host_blocks), replay, limits)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(CLASSES)), replay=replays(), limits=LIMITS, num_blocks=st.integers(3, 20))
def test_conservation_within_shed(name: str, replay: Replay, limits: Limits, num_blocks: int) -> None:
    """Any policy, some of whose requests are rejected without its seeing them, serves the others to their end."""
    check_served(simulate(f"shed({name})", replay, num_blocks, limits, num_host_blocks=8), replay, limits)


def check_served(served: Served, replay: Replay, limits: Limits) -> None:
    """Each request has one record, all blocks are free again, and outputs are whole or were rejected for a reason."""
    assert [record.request_id for record in sorted(served.records, key=lambda r: r.request_id)] == list(
        range(len(replay))
    )
    for pool in (served.pool, served.pool.host):
        assert pool.free_blocks == pool.num_blocks
    for record in served.records:
        prompt, output = (
            int(column[record.request_id]) for column in (replay.num_prompt_tokens, replay.num_output_tokens)
        )
        if record.outcome is Outcome.REJECTED:
            assert record.reason
        else:
            assert record.outcome is Outcome.FINISHED
            assert len(record.token_at_s) == min(output, limits.max_context - prompt)
    check_time(served)
    check_tokens(served)
    check_swaps(served)


def check_time(served: Served) -> None:
    """Iterations follow each other, and a request's tokens come one after the other, after its arrival."""
    ends = 0.0
    for iteration in served.iterations:
        assert iteration.start_s >= ends and iteration.duration_s >= 0
        ends = iteration.start_s + iteration.duration_s
    for record in served.records:
        times = (record.arrived_at_s, *record.token_at_s)
        assert all(first < second for first, second in pairwise(times))


def check_tokens(served: Served) -> None:
    """Tokens fed are those of prompts and outputs once, the last output of each left out, and those recomputed."""
    fed = sum(iteration.num_prefill_tokens + iteration.num_decode_tokens for iteration in served.iterations)
    needed = sum(
        record.num_prompt_tokens + len(record.token_at_s) - 1
        for record in served.records
        if record.outcome is Outcome.FINISHED
    )
    recomputed = sum(record.num_recomputed_tokens for record in served.records)
    if all(record.outcome is Outcome.FINISHED for record in served.records):
        assert fed == needed + recomputed
    else:
        assert fed >= needed


def check_swaps(served: Served) -> None:
    """Each swap-out is in a record; without one, nothing comes back."""
    out, back = (sum(getattr(each, name) for each in served.iterations) for name in ("num_swap_outs", "num_swap_ins"))
    assert back <= out == sum(record.num_swap_outs for record in served.records)
    assert (out > 0) == any(iteration.num_swapped_blocks for iteration in served.iterations)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=3, deadline=None)
@given(replay=replays())
def test_equal_seeds_give_equal_bytes(name: str, replay: Replay) -> None:
    """Served twice, every token comes at the same time, to the last bit."""
    first, second = (simulate(name, replay, 10, Limits(128, 4, 100)) for _ in range(2))
    assert repr(first.timeline()) == repr(second.timeline())
    assert [repr(each.start_s) for each in first.iterations] == [repr(each.start_s) for each in second.iterations]


def test_who_outgrows_the_pool_goes_on_in_hidden_form() -> None:
    """A pool of 6 blocks holds 96 tokens with a KV cache and 192 in hidden form; prefills are cut into several."""
    served = simulate("aptserve", replay_of([(60, 100)]), 6, Limits(40, 4, 300))
    (record,) = served.records
    assert record.outcome is Outcome.FINISHED and len(record.token_at_s) == 100
    assert record.num_preemptions == 1


def test_scheduling_takes_its_modelled_time() -> None:
    """A constant and a slope for each unfinished request, in every iteration, and nothing else is added."""
    replay = replay_of([(20, 5), (20, 5), (20, 9)])
    free, taking = (simulate("fcfs", replay, scheduling=SchedulingTime(*times)) for times in ((0.0, 0.0), (0.5, 0.25)))
    extra = [taken.duration_s - bare.duration_s for taken, bare in zip(taking.iterations, free.iterations, strict=True)]
    assert extra == pytest.approx([0.5 + 0.25 * 3] * 5 + [0.5 + 0.25] * 4)
    assert [each.scheduling_s for each in taking.iterations] == pytest.approx(extra)
