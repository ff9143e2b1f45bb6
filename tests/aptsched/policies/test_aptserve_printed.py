"""Apt-Serve as printed: legal plans that serve somebody, and what it does on a few requests, computed by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.aptserve import AptServe
from aptsched.policies.aptserve_printed import AptServePrinted
from aptsched.policies.named import load_policy
from aptsched.problem.certificate import dual_bound
from aptsched.scheduling.forms import KV, CacheForm
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from odd_values import check_refused_or_taken
from simulated import replay_of, simulate
from views import Seen, assert_legal, running, view_of, views

HIDDEN = CacheForm.HIDDEN
REBUILT = IterationTime(fixed_s=0.02).with_rebuilding(0.01)  # two unfinished requests: 0.02 s for each block m
policies = st.builds(
    AptServePrinted,
    forms=st.sampled_from(["hybrid", "kv"]),
    fallback=st.sampled_from(["paper", "decaying", "none"]),
)


def rows(plan: Plan) -> tuple[list[int], list[int]]:
    """Rows and forms of the entries."""
    return plan.request.tolist(), plan.form.tolist()


@st.composite
def rebuilt_views(draw: st.DrawFn) -> View:
    """Views of any requests, with any rho."""
    rho_s = draw(st.sampled_from([0.0, 1e-3, 0.1, 10.0]))
    return replace(draw(views()), times=IterationTime(fixed_s=0.02).with_rebuilding(rho_s))


@settings(max_examples=300)
@given(view=rebuilt_views(), policy=policies)
def test_plans_are_legal_and_serve_somebody(view: View, policy: AptServePrinted) -> None:
    """Within budgets and blocks; only where the pool can hold nobody is nobody served."""
    plan = policy.decide(view)
    assert_legal(view, plan)
    assert len(plan.request) or len(plan.reject) == len(view.request_id)
    assert not len(plan.convert) and not len(plan.swap_out)


@settings(max_examples=300)
@given(view=rebuilt_views(), policy=policies)
def test_who_decodes_was_chosen_in_its_own_form(view: View, policy: AptServePrinted) -> None:
    """A decode is the selection without those whose form it changes; whoever runs and is not fed loses its cache."""
    plan = policy.decide(view)
    if plan.problem is None or plan.selection is None:
        return
    assert dual_bound(plan.problem, plan.selection.multipliers) <= plan.selection.bound_s
    idle = np.setdiff1d(np.flatnonzero(view.running), np.concatenate([plan.request, plan.preempt, plan.reject]))
    if view.running[plan.request].any() and not np.isin(plan.request, plan.preempt).any():
        assert view.running[plan.request].all() and not len(idle)
        assert (plan.form == view.form[plan.request]).all()
        going = np.setdiff1d(np.flatnonzero(view.running), plan.reject)
        own = view.form[going]
        assert going[plan.selection.form == own].tolist() == plan.request.tolist()
    else:
        assert plan.candidates[plan.selection.form > 0].tolist() == plan.request.tolist()


@settings(max_examples=100)
@given(view=views(ratios=[Fraction(1), Fraction(2)]), policy=policies)
def test_no_hidden_form_at_a_ratio_of_one_or_more(view: View, policy: AptServePrinted) -> None:
    """A form that is no smaller is never given."""
    assert (policy.decide(view).form == KV).all()


def test_iteration_type_by_pending_times() -> None:
    """One waits for 0.25 s; two that run since 0.125 s let it prefill, and since 0.1875 s they decode."""
    waits = Seen(20, arrived_at_s=9.75)
    equal = [running(30, last_token_at_s=9.875), running(30, last_token_at_s=9.875), waits]
    assert AptServePrinted().decide(view_of(equal)).request.tolist() == [2]
    longer = [running(30, last_token_at_s=9.8125), running(30, last_token_at_s=9.8125), waits]
    assert AptServePrinted().decide(view_of(longer)).request.tolist() == [0, 1]


def test_decodes_when_nobody_can_be_admitted() -> None:
    """However long a request waits, what runs goes on while there are no blocks for it."""
    view = view_of([Seen(600, arrived_at_s=0.0), running(48, 16), running(30)], num_blocks=7)
    assert AptServePrinted().decide(view).request.tolist() == [1, 2]


def test_a_prefill_by_hand() -> None:
    """Two prompts of 10 blocks that wait for 0.5 s share 15 blocks: one in KV, one in hidden form.

    U rho m = 2 x 0.01 s x 10 = 0.2 s: hidden is worth 0.3 s, 0.06 a block of 5, and the step to KV 0.2 s, 0.04 a block.
    """
    view = view_of([Seen(150, arrived_at_s=9.5)] * 2, num_blocks=15, times=REBUILT)
    plan = AptServePrinted().decide(view)
    assert rows(plan) == ([0, 1], [KV, HIDDEN])
    assert plan.selection is not None and plan.selection.objective_s == pytest.approx(0.5 + 0.3)
    assert plan.selection.multipliers.per_block_s == pytest.approx(0.04)


def test_values_are_those_of_now() -> None:
    """With 0.3 s pending hidden is worth 0.1 s, less than half of KV's, so one waits: an iteration adds nothing."""
    slow = replace(REBUILT, fixed_s=0.5)
    view = view_of([Seen(150, arrived_at_s=9.7)] * 2, num_blocks=15, times=slow)
    assert rows(AptServePrinted().decide(view)) == ([0], [KV])
    assert rows(AptServe().decide(replace(view, times=slow)))[1] == [KV, HIDDEN]


def test_rho_is_that_of_rebuilding() -> None:
    """What an engine that absorbs adds to an iteration for a hidden request changes nothing."""
    view = view_of([Seen(150, arrived_at_s=9.5)] * 2, num_blocks=15, times=REBUILT)
    absorbed = replace(view, times=replace(REBUILT, rho_s_per_block=-0.001))
    assert rows(AptServePrinted().decide(absorbed)) == rows(AptServePrinted().decide(view))


def test_a_decode_keeps_forms_that_are_chosen_again() -> None:
    """Pending for 0.5 s since their last tokens, two requests of 10 blocks hold 15 as Algorithm 1 gives them."""
    requests = [running(149, last_token_at_s=9.5), running(149, form=HIDDEN, last_token_at_s=9.5)]
    plan = AptServePrinted().decide(view_of(requests, num_blocks=15, times=REBUILT))
    assert (rows(plan), plan.preempt.tolist()) == (([0, 1], [KV, HIDDEN]), [])
    assert plan.num_tokens.tolist() == [1, 1]


def test_a_form_is_changed_by_another_prefill() -> None:
    """With blocks for two KV caches the hidden one is chosen in KV: it loses its cache, and waits for a prefill."""
    requests = [running(149, last_token_at_s=9.5), running(149, form=HIDDEN, last_token_at_s=9.5)]
    view = view_of(requests, num_blocks=20, times=REBUILT)
    plan = AptServePrinted().decide(view)
    assert (rows(plan), plan.preempt.tolist()) == (([0], [KV]), [1])
    assert AptServe().decide(view).convert.tolist() == [1]
    again = [running(149, 2, last_token_at_s=9.75), replace(requests[1], num_cached=0)]
    assert rows(AptServePrinted().decide(view_of(again, num_blocks=20, times=REBUILT))) == ([1], [KV])


def test_kv_turns_to_hidden_too() -> None:
    """Of three that are pending for 1 s two need another block for their KV caches, which 25 blocks do not have.

    U rho is 0.03 s a block. Those of 11 blocks are worth 0.67 s in 6 hidden ones (0.112 a block) and gain 0.33 s by 5
    more (0.066), the one of 10 is worth 0.7 s in 5 (0.14): hidden forms take 17, and one KV cache 5 more. The other KV
    cache is discarded, to be prefilled in hidden form.
    """
    late: dict[str, Any] = {"last_token_at_s": 9.0}
    requests = [running(160, **late), running(160, **late), running(149, form=HIDDEN, **late)]
    plan = AptServePrinted().decide(view_of(requests, num_blocks=25, times=REBUILT))
    assert plan.selection is not None and plan.selection.form.tolist() == [KV, HIDDEN, HIDDEN]
    assert (rows(plan), plan.preempt.tolist()) == (([0, 2], [KV, HIDDEN]), [1])


def test_where_all_change_their_form_they_are_prefilled_at_once() -> None:
    """The first is hidden and the second KV, and of 15 blocks Algorithm 1 gives them the other way round."""
    requests = [running(144, form=HIDDEN, last_token_at_s=9.5), running(144, last_token_at_s=9.5)]
    plan = AptServePrinted().decide(view_of(requests, num_blocks=15, times=REBUILT))
    assert (rows(plan), plan.preempt.tolist()) == (([0, 1], [KV, HIDDEN]), [0, 1])
    assert plan.num_tokens.tolist() == [145, 145]


def test_who_missed_its_objective_yields() -> None:
    """Of 15 blocks one that is late gets none, however long it is pending; the other one keeps its KV cache."""
    requests = [running(112, last_token_at_s=8.0, slo_tpot_s=1.0), running(112, last_token_at_s=9.9)]
    view = view_of(requests, num_blocks=15)
    assert AptServePrinted(forms="kv").decide(view).preempt.tolist() == [0]
    assert AptServePrinted(forms="kv", fallback="none").decide(view).preempt.tolist() == [1]


def test_all_that_wait_are_candidates() -> None:
    """However many are in front: of three, two of them late, the last is admitted where one sequence is left."""
    requests = [running(16), Seen(30, arrived_at_s=5.0), Seen(30, arrived_at_s=6.0), Seen(30, arrived_at_s=9.5)]
    assert AptServePrinted().decide(view_of(requests, max_seqs=2)).request.tolist() == [3]


def test_a_prompt_beyond_the_token_budget_is_fed_in_chunks() -> None:
    """A chunk of all 60 tokens, then the other 40; one within the budget is prefilled whole or waits."""
    policy = AptServePrinted(fallback="none")
    assert policy.decide(view_of([Seen(100)], max_tokens=60)).num_tokens.tolist() == [60]
    begun = policy.decide(view_of([Seen(100, num_cached=60)], max_tokens=60))
    assert (begun.num_tokens.tolist(), begun.preempt.tolist()) == ([40], [])
    three = [Seen(50), Seen(30, arrived_at_s=9.9), Seen(10, arrived_at_s=9.9)]
    assert policy.decide(view_of(three, max_tokens=60)).num_tokens.tolist() == [50, 10]


def test_what_the_pool_cannot_hold_is_rejected() -> None:
    """100 hidden blocks hold 3,200 tokens; what has no other form than hidden is not charged for it."""
    assert AptServePrinted().decide(view_of([Seen(3201)], max_tokens=4096)).reject.tolist() == [0]
    assert AptServePrinted(forms="kv").decide(view_of([Seen(1601)], max_tokens=4096)).reject.tolist() == [0]
    dear = IterationTime().with_rebuilding(100.0)
    assert rows(AptServePrinted().decide(view_of([Seen(3000)], max_tokens=4096, times=dear))) == ([0], [HIDDEN])


def test_by_name() -> None:
    """The option stands anywhere among the others; what the printed method does not have is refused by one message."""
    assert load_policy("aptserve:as=paper") == AptServePrinted()
    assert load_policy("aptserve:forms=kv:as=paper:fallback=none") == AptServePrinted("kv", "none")
    with pytest.raises(InputError, match="aptserve:as=paper: option 'charge' is not known; forms, fallback are"):
        load_policy("aptserve:charge=paper:as=paper")
    with pytest.raises(InputError, match=r"aptserve: option 'as' is not known; select, .*as=paper are"):
        load_policy("aptserve:as=printed")


@pytest.mark.parametrize("name", AptServePrinted.choices)
def test_odd_options(name: str) -> None:
    """Any value of any type is taken or refused by one message."""
    check_refused_or_taken(lambda value: AptServePrinted(**{name: value}))  # type: ignore[arg-type]


def test_forms_change_in_both_directions_on_the_loop() -> None:
    """Where blocks are scarce requests are given another form after they had one, and all of them finish."""
    served = simulate("aptserve:as=paper:fallback=none", replay_of([(40, 60)] * 8), num_blocks=16)
    last: dict[int, int] = {}
    changes = set()
    for view, plan in zip(served.seen.views, served.seen.plans, strict=True):
        for number, form in zip(view.request_id[plan.request].tolist(), plan.form.tolist(), strict=True):
            changes.add((last.get(number, form), form))
            last[number] = form
    assert {(KV, HIDDEN), (HIDDEN, KV)} <= changes
    assert all(len(record.token_at_s) == 60 for record in served.records)
