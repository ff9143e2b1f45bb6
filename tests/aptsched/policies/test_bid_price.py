"""Our own policy on single views, by hand: who is accepted, who makes room, and who is rejected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.knapsack.greedy import greedy
from aptsched.policies.bid_price import DEAR, LATE, BidPrice
from aptsched.policies.named import load_policy
from aptsched.problem.certificate import certify
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.view import View
from proofs.certificate import check
from views import Seen, running, view_of, views

STRONG = 8.0  # so that in pools of a few blocks, which one request takes half of, who comes is accepted
TIMES = IterationTime(0.03, 1e-3, 1e-6, swap_s_per_block=5e-3)


def decode(num_tokens: int, num_output: int, now_s: float = 2.0) -> Seen:
    """A request of so many tokens that arrived at 0 s and has had its newest one now; the next is due in time."""
    return running(num_tokens - num_output, num_output, slo_tpot_s=0.2, last_token_at_s=now_s)


def on_host(num_tokens: int, num_output: int, since_s: float) -> Seen:
    """The same on the host since its newest token."""
    return replace(decode(num_tokens, num_output, since_s), swapped=True)


def at(now_s: float, requests: list[Seen], num_blocks: int, num_host_blocks: int = 100) -> View:
    """What the policy sees then."""
    view = view_of(requests, num_blocks, num_host_blocks=num_host_blocks)
    return replace(view, now_s=now_s, times=TIMES)


def test_who_is_ahead_makes_room_for_who_has_just_come() -> None:
    """Of two decodes in a full pool the one that is 11 s ahead goes to the host, and the prompt is fed."""
    requests = [decode(64, 60), decode(64, 6), Seen(40, arrived_at_s=1.2)]
    plan = BidPrice(strength=STRONG).decide(at(2.0, requests, num_blocks=8))
    assert plan.swap_out.tolist() == [0] and sorted(plan.request.tolist()) == [1, 2]
    assert not len(plan.preempt) and not len(plan.reject)


def test_without_a_host_nobody_leaves_for_others() -> None:
    """Of the same requests the decodes go on; the prompt waits for room, and is told once it would come too late."""
    requests = [decode(64, 60), decode(64, 6), Seen(40, arrived_at_s=1.2)]
    policy = BidPrice(strength=STRONG)
    plan = policy.decide(at(2.0, requests, num_blocks=8, num_host_blocks=0))
    assert sorted(plan.request.tolist()) == [0, 1] and not len(plan.reject)
    assert not len(plan.preempt) and not len(plan.swap_out)
    later = policy.decide(at(2.19, requests, num_blocks=8, num_host_blocks=0))
    assert sorted(later.request.tolist()) == [0, 1] and later.reject.tolist() == [2]
    assert list(later.reject_reasons) == [LATE]


def test_who_waits_for_room_gets_it() -> None:
    """The same prompt is fed as soon as one of the decodes has ended."""
    requests = [decode(64, 60), Seen(40, arrived_at_s=1.2)]
    plan = BidPrice(strength=STRONG).decide(at(2.0, requests, num_blocks=8, num_host_blocks=0))
    assert sorted(plan.request.tolist()) == [0, 1] and not len(plan.reject)


def test_prompts_share_what_the_tightest_deadline_leaves() -> None:
    """Beside a decode that is due at once an iteration takes 256 tokens of prompts: one of two with 200 each."""
    requests = [decode(64, 6, 0.9), Seen(200, arrived_at_s=0.9), Seen(200, arrived_at_s=0.9)]
    requests[0] = replace(requests[0], arrived_at_s=-1.15)
    view = at(1.0, requests, num_blocks=100)
    assert BidPrice(strength=STRONG).decide(view).num_tokens.tolist() == [1, 200]
    relaxed = replace(view, slo_tpot_s=10 * view.slo_tpot_s)
    assert BidPrice(strength=STRONG).decide(relaxed).num_tokens.tolist() == [1, 200, 200]


def test_without_a_host_one_leaves_where_the_pool_is_too_small() -> None:
    """Two decodes need a block more each, and none is free: the one that is far ahead is computed anew later."""
    requests = [decode(65, 60), decode(65, 6)]
    plan = BidPrice(strength=STRONG).decide(at(2.0, requests, num_blocks=8, num_host_blocks=0))
    assert plan.preempt.tolist() == [0] and plan.request.tolist() == [1]


def test_nobody_leaves_for_who_can_still_wait() -> None:
    """Right after it has come, the same prompt waits: within most of a second blocks may be free without a swap."""
    requests = [decode(64, 60), decode(64, 6), Seen(40, arrived_at_s=2.0)]
    plan = BidPrice(strength=STRONG).decide(at(2.0, requests, num_blocks=8))
    assert sorted(plan.request.tolist()) == [0, 1] and not len(plan.swap_out)


def test_who_leaves_is_computed_anew_where_decodes_leave_multiplication_idle() -> None:
    """Where 300 tokens of prompts take no time beside decodes, nobody is copied to the host, and all can pause."""
    requests = [decode(64, 60), decode(64, 6), Seen(40, arrived_at_s=1.2)]
    idle = replace(TIMES, per_token_s=1e-4, per_decode_s=-1e-4)
    for num_host_blocks in (0, 100):
        view = replace(at(2.0, requests, num_blocks=8, num_host_blocks=num_host_blocks), times=idle)
        plan = BidPrice(strength=STRONG).decide(view)
        assert plan.preempt.tolist() == [0] and sorted(plan.request.tolist()) == [1, 2] and not len(plan.swap_out)


def test_prompts_are_spread_over_iterations_that_leave_multiplication_idle() -> None:
    """An iteration takes 300 tokens of prompts for no time: so many of 400 are fed, and all if they are due at once."""
    idle = replace(TIMES, per_token_s=1e-4, per_decode_s=-1e-4)
    view = replace(at(1.0, [decode(64, 6), Seen(400, arrived_at_s=0.9)], num_blocks=100), times=idle)
    assert BidPrice(strength=STRONG).decide(view).num_tokens.tolist() == [1, 299]
    due = replace(view, arrived_at_s=np.array([0.0, 0.073]))
    assert BidPrice(strength=STRONG).decide(due).num_tokens.tolist() == [1, 400]


def test_who_pauses_comes_back_in_time() -> None:
    """One on the host stays there while another decodes, and takes its place when its next token is nearly due."""
    away, other = on_host(64, 60, since_s=5.0), decode(120, 100, now_s=6.0)
    waits = BidPrice().decide(at(6.0, [away, other], num_blocks=8))
    assert waits.request.tolist() == [1]
    other = decode(120, 110, now_s=12.9)
    back = BidPrice().decide(at(12.9, [away, other], num_blocks=8))
    assert back.request.tolist() == [0] and back.swap_in.tolist() == [0] and back.swap_out.tolist() == [1]


def test_who_cannot_make_its_first_token_is_told() -> None:
    """It came 1.2 s ago, and its objective was 1 s: rejected with the reason, or served in the background."""
    view = at(1.2, [Seen(40)], num_blocks=8)
    plan = BidPrice().decide(view)
    assert plan.reject.tolist() == [0] and list(plan.reject_reasons) == [LATE] and not len(plan.request)
    plan = BidPrice(reject=False).decide(view)
    assert plan.request.tolist() == [0] and not len(plan.reject)


def test_what_any_prompt_takes_is_part_of_its_lead() -> None:
    """A prompt that is due in half a second is late where feeding any prompt takes as long; a decode is not."""
    view = at(0.5, [Seen(40), replace(decode(64, 6, 0.4), arrived_at_s=-1.3)], num_blocks=20)
    assert not len(BidPrice().decide(view).reject)
    slow = replace(view, times=replace(TIMES, prefill_s=0.5))
    plan = BidPrice().decide(slow)
    assert plan.reject.tolist() == [0] and list(plan.reject_reasons) == [LATE] and plan.request.tolist() == [1]


def test_the_dearest_is_turned_away_while_much_is_to_be_done() -> None:
    """Beside twenty long decodes a short prompt is accepted, and one that takes a quarter of the pool is not."""
    decodes = [decode(400, 50) for _ in range(20)]
    requests = [*decodes, Seen(1500, arrived_at_s=2.0), Seen(30, arrived_at_s=2.0)]
    view = replace(at(2.0, requests, num_blocks=700), times=replace(TIMES, per_token_s=1e-4))
    plan = BidPrice(strength=0.5).decide(view)
    assert plan.reject.tolist() == [20] and list(plan.reject_reasons) == [DEAR]
    assert 21 in plan.request.tolist()


def test_decodes_hold() -> None:
    """Where all decode, and nobody waits or is on the host, nothing but an end or an arrival changes that."""
    assert BidPrice().decide(at(2.0, [decode(64, 60), decode(64, 6)], num_blocks=20)).holds > 10**6
    requests = [decode(64, 6), on_host(64, 60, since_s=2.0)]
    assert BidPrice().decide(at(2.0, requests, num_blocks=6)).holds == 0


@settings(max_examples=100, deadline=None)
@given(view=views(most_host_blocks=60), forms=st.sampled_from(["kv", "hybrid", "hidden", "hybrid+int8"]))
def test_every_problem_is_certified_and_a_quarter_or_more_is_had(view: View, forms: str) -> None:
    """The bound of each decision holds by exact arithmetic, and the greedy is within its factor of it."""
    plan = BidPrice(forms=forms, reject=False).decide(view)
    if plan.problem is None:
        return
    assert plan.selection is not None
    found = greedy(plan.problem)
    assert certify(plan.problem, found.form, found.multipliers).bound_s == found.bound_s
    assert 4 * found.objective_s >= found.bound_s * (1 - 1e-9)
    assert check(plan.problem, plan.selection).holds


@pytest.mark.parametrize(
    "text", ["strength=0", "overcommit=-1", "pause_s=0", "patience_s=nan", "forms=fp8", "select=none"]
)
def test_bad_options(text: str) -> None:
    """An option out of range is named."""
    with pytest.raises(InputError, match=text.partition("=")[0]):
        load_policy(f"bid-price:{text}")


def test_arrivals_are_counted_once() -> None:
    """Seeing the same requests again does not change the price."""
    policy, view = BidPrice(reject=False), at(0.1, [Seen(40), Seen(90)], num_blocks=6)
    first, again = policy.decide(view), policy.decide(view)
    assert first.problem is not None
    assert again.problem is not None
    assert np.array_equal(first.problem.values, again.problem.values)


def test_of_a_long_queue_the_best_are_candidates() -> None:
    """Of nine that wait, three may run beside a decode: these are candidates, and they are the shortest."""
    requests = [decode(64, 60), *(Seen(100 - 10 * i, arrived_at_s=2.0) for i in range(9))]
    view = replace(at(2.0, requests, num_blocks=40), max_seqs=3)
    plan = BidPrice(strength=1e5).decide(view)
    assert plan.candidates.tolist() == [0, 7, 8, 9] and len(plan.request) == 3
