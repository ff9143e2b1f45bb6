"""Policies differ where they should and agree where they must."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.named import CLASSES, WRAPPERS
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.record import SLO
from engine.loop.limits import Limits
from engine.study.replay import Replay
from simulated import POLICIES, Served, replay_of, replays, simulate

WIDE = Limits(10**6, 256, 2048)
ORACLES = ("sjf", "svf:lengths=true")
OUT_OF_ORDER = (
    *("random", "priority", *ORACLES),  # by what is drawn, and by outputs
    *("aptserve", "aptserve:forms=hidden", "aptserve:fallback=decaying", "aptserve:as=paper", "shed(aptserve)"),
    "bid-price:forms=hybrid",  # as those before: a later one may take less memory
    *("slos-serve", "bid-price:reject=off"),  # who was passed over once goes behind those who came after it
)
IN_ORDER = [name for name in POLICIES if name not in OUT_OF_ORDER]


def test_every_policy_is_held_to_these_facts() -> None:
    """Each that has a name is among those that this module and that on conservation serve; each wrapper is, too."""
    assert set(CLASSES) <= set(POLICIES)
    assert all(any(name.startswith(f"{wrapper}(") for name in POLICIES) for wrapper in WRAPPERS)


@settings(max_examples=15, deadline=None)
@given(prompt=st.integers(1, 500), output=st.integers(1, 6))
def test_one_request_alone_is_served_alike(prompt: int, output: int) -> None:
    """With one request nothing is left to decide: tokens come at the same times, but for chunks and forms asked for."""
    apart = ("=24", "chunking=off", "=hidden")
    whole = [name for name in POLICIES if not any(part in name for part in apart)]
    timelines = {name: simulate(name, replay_of([(prompt, output)]), 60, WIDE).timeline() for name in whole}
    assert len({repr(timeline) for timeline in timelines.values()}) == 1


@settings(max_examples=15, deadline=None)
@given(replay=replays())
def test_no_hidden_form_with_unlimited_memory(replay: Replay) -> None:
    """Where all fit with a KV cache, Apt-Serve gives nobody the hidden form."""
    served = simulate("aptserve", replay, 10**5, Limits(2048, 256, 2048))
    assert all(iteration.num_blocks_by_form[CacheForm.HIDDEN] == 0 for iteration in served.iterations)


def test_hidden_form_where_memory_is_short() -> None:
    """Forty requests over a pool for a dozen: Apt-Serve uses the hidden form there."""
    served = simulate("aptserve", replay_of([(60, 20)] * 40), 50)
    assert any(iteration.num_blocks_by_form[CacheForm.HIDDEN] for iteration in served.iterations)


@settings(max_examples=15, deadline=None)
@given(replay=replays())
def test_fcfs_admits_in_order_of_arrival(replay: Replay) -> None:
    """Requests first run in the order in which they came."""
    served = simulate("fcfs", replay, 20, Limits(2048, 256, 100))
    assert served.admitted() == sorted(served.admitted())


@pytest.mark.parametrize("name", IN_ORDER)
@settings(max_examples=10, deadline=None)
@given(outputs=st.lists(st.integers(1, 12), min_size=1, max_size=8), data=st.data())
def test_equal_requests_are_admitted_in_order_of_arrival(name: str, outputs: list[int], data: st.DataObject) -> None:
    """Where prompts, objectives, tenants and priorities are equal, what policies go by is the arrival."""
    arrived = data.draw(st.lists(st.integers(0, 20), min_size=len(outputs), max_size=len(outputs)).map(sorted))
    replay = replay_of([(40, output) for output in outputs], [at / 20 for at in arrived], SLO(100.0, 100.0))
    admitted = simulate(name, replay, 14, Limits(256, 4, 100)).admitted()
    assert admitted == sorted(admitted) == list(range(len(outputs)))


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.tuples(st.integers(1, 90), st.integers(1, 5)), min_size=1, max_size=12))
def test_sarathi_with_an_infinite_chunk_admits_as_prefill_first(lengths: list[tuple[int, int]]) -> None:
    """The first iteration admits the same prompts, whole, that prefill first admits."""
    replay = replay_of(lengths)
    name = f"sarathi:chunk_tokens={10**9}"
    ours, theirs = (simulate(policy, replay, 30, WIDE).seen.plans[0] for policy in (name, "fcfs"))
    assert ours.request.tolist() == theirs.request.tolist() and ours.num_tokens.tolist() == theirs.num_tokens.tolist()


def test_sarathi_keeps_to_its_chunk() -> None:
    """No iteration feeds more than the chunk, and a long prompt is fed beside decodes."""
    served = simulate("sarathi:chunk_tokens=24", replay_of([(5, 30), (200, 3)], [0.0, 0.1]))
    totals = [int(plan.num_tokens.sum()) for plan in served.seen.plans]
    assert max(totals) == 24
    assert any(len(plan.request) == 2 and plan.num_tokens.max() == 23 for plan in served.seen.plans)


def test_fcfs_stalls_decodes_for_a_prefill_and_chunks_do_not() -> None:
    """A long prompt that comes amid decodes: the longest wait for a token is shorter in chunks."""
    replay = replay_of([(10, 40), (1500, 2)], [0.0, 0.2])
    longest = {name: max(np.diff(simulate(name, replay, 200).timeline()[0][1])) for name in ("fcfs", "sarathi")}
    assert longest["sarathi"] < longest["fcfs"] / 2


def test_fastserve_promotes_after_its_starvation_time() -> None:
    """A long prompt joins far down and waits while short ones come without end; after 3 s it runs, not before.

    So it does where each iteration looks for starved requests. With 50 iterations between two looks it is later, and
    with as many as there are requests it runs last.
    """
    replay = replay_of([(16, 4), (1000, 2), *[(16, 4)] * 140], [i / 40 for i in range(142)])
    busy = Limits(2048, 1, 2048)

    def first_s(options: str) -> float:
        return dict(simulate(f"fastserve:{options}", replay, 200, busy).timeline())[1][0]

    assert 3.0 <= first_s("starvation_period=1") < 3.6 and 1.0 <= first_s("starvation_period=1:starvation_s=1.0") < 1.6
    assert 3.6 < first_s("starvation_period=150") < first_s("starvation_period=1000")


def test_fastserve_swaps_and_recomputes_nothing_while_the_host_has_room() -> None:
    """Forty requests over a pool for six: with a host they are swapped, without one few recomputed, none for others."""
    replay = replay_of([(60, 40)] * 40, [i / 40 for i in range(40)])
    runs = [simulate("fastserve", replay, 40, num_host_blocks=count) for count in (400, 0)]
    swapping, without = (run.records for run in runs)
    assert sum(record.num_swap_outs for record in swapping) > 40
    assert not any(record.num_preemptions for record in swapping)
    assert not any(record.num_swap_outs for record in without)
    assert 0 < sum(record.num_preemptions for record in without) < 40
    assert [len(record.token_at_s) for record in (*swapping, *without)] == [40] * 80
    seen = runs[1].seen
    for view, plan in zip(seen.views, seen.plans, strict=True):
        assert not len(plan.preempt) or view.running[plan.request].all()


def test_fastserve_begins_no_request_while_the_host_is_nearly_full() -> None:
    """Of 20 blocks on the host one or none is free: what is fed are requests that were begun before."""
    replay = replay_of([(60, 40)] * 40, [i / 40 for i in range(40)])
    seen = simulate("fastserve", replay, 40, num_host_blocks=20).seen
    full = [(view, plan) for view, plan in zip(seen.views, seen.plans, strict=True) if view.free_host_blocks < 2]
    assert len(full) > 10 and all((view.form[plan.request] != 0).all() for view, plan in full)
    assert any((view.form == 0).any() for view, _ in full)


def test_blocks_that_were_moved_are_counted() -> None:
    """Both ways, in each iteration, as the plans say: with room on the host none of it is left out."""
    replay = replay_of([(60, 40)] * 40, [i / 40 for i in range(40)])
    served = simulate("fastserve", replay, 40, num_host_blocks=400)
    for iteration, view, plan in zip(served.iterations, served.seen.views, served.seen.plans, strict=True):
        assert (iteration.num_swap_outs, iteration.num_swap_ins) == (len(plan.swap_out), len(plan.swap_in))
        moved = view.num_held[plan.swap_out].sum() + view.num_swapped[plan.swap_in].sum()
        assert iteration.num_swapped_blocks == moved
    assert all(any(getattr(each, name) for each in served.iterations) for name in ("num_swap_outs", "num_swap_ins"))


def test_fastserve_prefers_the_short_and_sjf_the_shortest() -> None:
    """Behind a long job, short ones get their tokens earlier than under FCFS with either."""
    replay = replay_of([(400, 200), *[(20, 4)] * 6], [0.0, *[0.05] * 6])
    one = Limits(2048, 1, 2048)
    last = {name: simulate(name, replay, 60, one).timeline()[-1][1][-1] for name in ("fcfs", "fastserve", "sjf")}
    assert last["fastserve"] < last["fcfs"]
    assert last["sjf"] <= last["fcfs"]


def test_random_orders_differ_by_seed() -> None:
    """Two seeds admit forty waiting requests in different orders, and neither is that of arrival."""
    replay = replay_of([(60, 20)] * 40)
    orders = [simulate(f"random:seed={seed}", replay, 30).admitted() for seed in (0, 1)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == list(range(40))
    assert all(order != list(range(40)) for order in orders)


@pytest.mark.parametrize("name", [name for name in POLICIES if name not in ORACLES])
@settings(max_examples=10, deadline=None)
@given(replay=replays(), data=st.data())
def test_only_the_oracle_sees_lengths(name: str, replay: Replay, data: st.DataObject) -> None:
    """True lengths permuted among the requests change nothing before the first request ends."""
    order = data.draw(st.permutations(range(len(replay))))
    moved = dataclasses.replace(replay, num_output_tokens=replay.num_output_tokens[list(order)])
    first, second = (simulate(name, each, 10, Limits(128, 4, 100)) for each in (replay, moved))
    until = min(_first_end(first), _first_end(second))
    assert _before(first, until) == _before(second, until)


def test_the_oracle_sees_lengths() -> None:
    """Shortest first: the two lengths swapped, the other request is served first."""
    one = Limits(2048, 1, 2048)
    orders = [simulate("sjf", replay_of([(20, out), (20, 31 - out)]), 40, one).admitted() for out in (1, 30)]
    assert orders == [[0, 1], [1, 0]]


def _first_end(served: Served) -> float:
    return min(min(record.token_at_s[-1:], default=np.inf) for record in served.records)


def _before(served: Served, until: float) -> list[tuple[float, list[int], list[int], list[int]]]:
    return [
        (view.now_s, plan.request.tolist(), plan.num_tokens.tolist(), plan.form.tolist())
        for view, plan in zip(served.seen.views, served.seen.plans, strict=True)
        if view.now_s < until
    ]
