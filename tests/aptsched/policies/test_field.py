"""The policies of the field on single views: legal plans, never stuck, and their rules by small examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.policies.named import load_policy
from aptsched.policies.oracle import TrueLengths
from aptsched.policies.sarathi import Sarathi
from aptsched.policies.sjf import SJF
from aptsched.policies.swapping import leaving, staying
from aptsched.policies.vllm_v1 import VLLMv1
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.view import View
from views import Seen, assert_legal, running, view_of, views

NAMES = (
    *("vllm-v1", "sarathi", "sarathi:chunk_tokens=20", "random", "sjf", "fastserve", "priority"),
    *("fastgen", "fastgen:target_tokens=9", "qoserve", "qoserve:chunking=off:relegation=off:hybrid=off"),
    *("slai", "slai:max_chunk=20:max_decodes=3", "scorpio"),
    *("past-future", "vtc", "andes", "andes:period=1:pressure=0"),
    *("wait", "wait:limit=2", "nested-wait", "nested-wait:limit=3"),
    *("svf", "jitserve", "slos-serve", "alise"),
    *("bid-price", "bid-price:reject=off", "bid-price:forms=hybrid", "contract"),
)
ORACLE = TrueLengths(np.arange(12), np.arange(12)[::-1] * 7 % 12 + 1)


def made(name: str) -> Policy:
    """The policy, with lengths for those that see them."""
    return load_policy(name, oracle=ORACLE)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(view=views())
def test_plans_are_legal(name: str, view: View) -> None:
    """Each entry once, tokens and forms as the plan promises, within budgets and blocks."""
    assert_legal(view, made(name).decide(view))


@pytest.mark.parametrize(
    "name", ["fastserve", "priority", "priority:redrawn=never:ahead", "jitserve", "alise", "bid-price"]
)
@settings(max_examples=200, deadline=None)
@given(view=views(most_host_blocks=60))
def test_plans_with_swaps_are_legal_and_never_stuck(name: str, view: View) -> None:
    """Where requests are on the host, and where it is full.

    Blocks are free ahead only at the host's cost; but `bid-price` goes by values alone: where the host is full, one of
    low value may be preempted for one of high value.
    """
    plan = made(name).decide(view)
    assert_legal(view, plan)
    assert len(plan.request) or len(plan.reject) == len(view.request_id)
    assert name == "bid-price" or not len(plan.preempt) or view.running[plan.request].all()


@given(
    blocks=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    short=st.integers(-5, 40),
    spare=st.integers(0, 20),
    free_host=st.integers(0, 40),
)
def test_as_few_leave_as_make_room(blocks: list[int], short: int, spare: int, free_host: int) -> None:
    """What is short is free, by preemption of the last where the host is full, which is as few as that takes."""
    view = view_of([running(16 * count - 1) for count in blocks], num_blocks=100, num_host_blocks=free_host)
    rows = np.arange(len(blocks))[::-1]
    preempt, out = leaving(view, rows, short, spare, free_host)
    assert [*preempt, *out] == rows[: len(preempt) + len(out)].tolist()
    held = view.num_held
    freed = held[preempt].sum() + held[out].sum()
    assert held[out].sum() <= free_host and freed >= min(short, sum(blocks))
    assert not len(out) or freed - held[out[-1]] < short + spare
    needed = rows[: int(np.searchsorted(held[rows].cumsum(), short)) + 1] if short > 0 else rows[:0]
    assert not len(preempt) or held[needed].sum() - held[preempt[:-1]].sum() > free_host
    assert len(preempt) + len(out) >= len(needed)
    left = rows[len(preempt) + len(out) :]
    assert not len(left) or freed >= short + spare or held[out].sum() + held[left[0]] > free_host


def test_who_comes_in_leaves_a_block_for_each_before_it() -> None:
    """Three that run and one on the host of 2 blocks: 5 free blocks are enough for it, 4 are not."""
    requests = [running(31), running(31), running(31), Seen(31, 1, 31, swapped=True)]
    for num_blocks, comes_in in ((11, True), (10, False)):
        view = view_of(requests, num_blocks, num_host_blocks=2)
        stays = staying(view, np.arange(4), np.ones(4, np.bool_), np.full(4, 2))
        assert stays.tolist() == [True, True, True, comes_in]


def test_fastserve_keeps_who_is_in_the_pool_before_others_of_its_level() -> None:
    """Two of one level, and blocks for one: who runs goes on, whoever came first; a higher level goes before."""
    view = view_of([Seen(30), running(20)], num_blocks=3, num_host_blocks=10)
    plan = made("fastserve").decide(view)
    assert plan.request.tolist() == [1] and not len(plan.swap_out)
    view = view_of([running(20), Seen(2)], num_blocks=2, num_host_blocks=10)
    plan = made("fastserve:quantum_s=0.0205").decide(view)
    assert plan.request.tolist() == [1] and plan.swap_out.tolist() == [0]


def test_those_that_are_there_go_on_behind_one_that_does_not_fit() -> None:
    """Of 7 blocks 2 go to the first; one that needs 6 stays out, the next takes 3, and 3 more are not there."""
    requests = [running(31), Seen(96), running(47), running(31)]
    view = view_of(requests, 7)
    sizes = np.array([2, 6, 3, 3])
    assert staying(view, np.arange(4), np.ones(4, np.bool_), sizes).tolist() == [True, False, True, False]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(view=views())
def test_never_stuck(name: str, view: View) -> None:
    """Whenever a request is left that the pool can hold, somebody is served."""
    plan = made(name).decide(view)
    assert len(plan.request) or len(plan.reject) == len(view.request_id)


def test_v1_feeds_prompts_beside_decodes() -> None:
    """Two decodes take two tokens of ten, a prompt that was begun six, and the next prompt the last two."""
    view = view_of([running(30), running(5), Seen(20, num_cached=14), Seen(40)], max_tokens=10)
    plan = VLLMv1().decide(view)
    assert plan.request.tolist() == [0, 1, 2, 3] and plan.num_tokens.tolist() == [1, 1, 6, 2]


def test_v1_admits_nobody_after_a_preemption() -> None:
    """Out of blocks the last one goes, and the queue waits although its blocks would be enough."""
    view = view_of([running(16), running(16), Seen(1)], num_blocks=3)
    plan = VLLMv1().decide(view)
    assert plan.preempt.tolist() == [1] and plan.request.tolist() == [0]


def test_sarathi_feeds_decodes_then_begun_then_new_prompts() -> None:
    """Of a chunk of ten: a late decode first, then the begun prompt that came earlier, nothing for the new one."""
    view = view_of([Seen(40, num_cached=14), running(5), Seen(40)])
    plan = Sarathi(chunk_tokens=10).decide(view)
    assert dict(zip(plan.request.tolist(), plan.num_tokens.tolist(), strict=True)) == {0: 9, 1: 1}


def test_sarathi_keeps_room_for_prompts_begun() -> None:
    """What the begun prompt still needs is not given to another."""
    view = view_of([Seen(160, num_cached=16), Seen(80)], num_blocks=14)
    assert Sarathi(chunk_tokens=300, watermark=0).decide(view).request.tolist() == [0]
    view = view_of([Seen(160, num_cached=16), Seen(60)], num_blocks=14)
    assert Sarathi(chunk_tokens=300, watermark=0).decide(view).request.tolist() == [0, 1]


def test_sjf_takes_remaining_tokens() -> None:
    """Of two that run, the one with fewer tokens to come goes on when blocks are for one only."""
    view = view_of([running(16, 1), running(13, 4)], num_blocks=3)
    plan = SJF(TrueLengths(np.arange(2), np.array([9, 10]))).decide(view)
    assert plan.request.tolist() == [1] and plan.preempt.tolist() == [0]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=10, unique=True), st.data())
def test_true_lengths(numbers: list[int], data: st.DataObject) -> None:
    """Lengths come by request number, in any order; an unknown number is an input error."""
    lengths = data.draw(st.lists(st.integers(0, 99), min_size=len(numbers), max_size=len(numbers)))
    oracle = TrueLengths(np.array(numbers), np.array(lengths))
    order = data.draw(st.permutations(range(len(numbers))))
    assert oracle.of(np.array(numbers)[list(order)]).tolist() == [lengths[i] for i in order]
    with pytest.raises(InputError, match="request 51"):
        oracle.of(np.array([numbers[0], 51]))


def test_an_oracle_is_asked_for() -> None:
    """Where true lengths are not known, the policy that sees them is not accepted."""
    with pytest.raises(InputError, match="true output lengths"):
        load_policy("sjf")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("sarathi:chunk_tokens=0", "chunk_tokens"),
        ("sarathi:watermark=1", "watermark"),
        ("random:seed=-1", "seed"),
        ("fastserve:quantum_s=0", "quantum_s"),
        ("fastserve:num_levels=0", "num_levels"),
        ("fastserve:starvation_s=-3", "starvation_s"),
        ("fastserve:starvation_period=0", "starvation_period"),
        ("vllm-v1:chunk=3", "chunk"),
    ],
)
def test_bad_options(name: str, field: str) -> None:
    """An option out of range, or unknown, is named."""
    with pytest.raises(InputError, match=field):
        load_policy(name)
