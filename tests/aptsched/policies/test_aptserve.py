"""Apt-Serve: legal and work-conserving plans, each the answer to its problem; forms, promotion, fallback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem, InputError, Selection
from aptsched.policies.aptserve import AptServe
from aptsched.problem.certificate import dual_bound
from aptsched.scheduling.forms import KV, CacheForm
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from solvers.core import solve
from views import Seen, assert_legal, running, view_of, views


def core(problem: BatchProblem) -> Selection:
    """The exact answer."""
    selection = solve(problem).selection
    assert selection is not None
    return selection


policies = st.builds(
    AptServe,
    select=st.sampled_from([AptServe.select, core]),
    order=st.sampled_from(["value", "fcfs"]),
    forms=st.sampled_from(["hybrid", "kv", "hidden"]),
    fallback=st.sampled_from(["paper", "decaying", "none"]),
    promote=st.booleans(),
    watermark=st.sampled_from([0.0, 0.01, 0.2]),
)


def admitted(view: View, plan: Plan) -> list[int]:
    """Rows of the plan that waited."""
    waiting: list[int] = plan.request[~view.running[plan.request]].tolist()
    return waiting


def with_memory(view: View, num_blocks: int) -> View:
    """The same requests over a larger pool."""
    return replace(view, num_blocks=num_blocks, free_blocks=num_blocks - int(view.num_held.sum()))


@st.composite
def prefill_views(draw: st.DrawFn) -> View:
    """Views in which what runs has its newest token just now, and some blocks are free: a prefill's turn."""
    view = draw(views())
    view = with_memory(view, view.num_blocks + draw(st.integers(0, 40)))
    pending_since_s = np.where(view.running, view.now_s, view.pending_since_s)
    objective_s = np.where(view.running, view.slo_tbt_s, view.objective_s)
    return replace(view, pending_since_s=pending_since_s, objective_s=objective_s, max_seqs=view.max_seqs + 4)


@settings(max_examples=300)
@given(view=views(), policy=policies)
def test_plans_are_legal(view: View, policy: AptServe) -> None:
    """Each entry once, tokens and forms as the plan promises, within budgets and blocks."""
    assert_legal(view, policy.decide(view))


@settings(max_examples=150)
@given(view=views(), policy=policies)
def test_never_stuck(view: View, policy: AptServe) -> None:
    """Whenever a request is left that the pool can hold, somebody is served."""
    plan = policy.decide(view)
    assert len(plan.request) or len(plan.reject) == len(view.request_id)


@settings(max_examples=150)
@given(view=views(), policy=policies)
def test_the_plan_is_the_selection(view: View, policy: AptServe) -> None:
    """The entries are what the selection serves, in its forms, and the multipliers prove its bound."""
    plan = policy.decide(view)
    if not len(plan.request):
        return
    assert plan.problem is not None and plan.selection is not None
    served = np.flatnonzero(plan.selection.form)
    assert plan.candidates[served].tolist() == plan.request.tolist()
    assert plan.selection.form[served].tolist() == plan.form.tolist()
    assert plan.problem.num_tokens is not None
    assert plan.problem.num_tokens[served].tolist() == plan.num_tokens.tolist()
    assert dual_bound(plan.problem, plan.selection.multipliers) <= plan.selection.bound_s


@settings(max_examples=150)
@given(view=views(), policy=policies)
def test_all_that_run_decode_if_they_fit(view: View, policy: AptServe) -> None:
    """Nobody who runs is left out of a decode, or preempted, while blocks and budgets are enough for all."""
    plan = policy.decide(view)
    going = view.running & ~np.isin(np.arange(len(view.running)), plan.reject)
    if admitted(view, plan):
        return
    need = view.cache.blocks_by_form(np.where(going, view.num_tokens, 0), view.form)
    if need.sum() <= view.num_blocks and going.sum() <= min(view.max_seqs, view.max_tokens):
        assert set(np.flatnonzero(going)) == set(plan.request) and not len(plan.preempt)


@settings(max_examples=150)
@given(view=prefill_views())
def test_no_request_that_fits_waits(view: View) -> None:
    """Beside what is admitted, none of the others fits: its KV cache with the next token, its tokens, its place."""
    plan = AptServe(watermark=0.0).decide(view)
    if not admitted(view, plan):
        return
    assert plan.problem is not None and plan.selection is not None and plan.problem.num_tokens is not None
    left = plan.problem.capacity - plan.selection.num_blocks
    others = plan.selection.form == 0
    fits = (plan.problem.weights[:, 0] <= left) & (plan.problem.num_tokens <= view.max_tokens - plan.num_tokens.sum())
    assert plan.problem.max_seqs is not None
    assert not (others & fits).any() or plan.selection.num_seqs == plan.problem.max_seqs


@settings(max_examples=150)
@given(view=prefill_views(), policy=policies)
def test_the_next_decode_preempts_nobody(view: View, policy: AptServe) -> None:
    """After an admission all that run then fit in the pool with their next token."""
    plan = policy.decide(view)
    if not admitted(view, plan) or not view.running.any() or len(plan.preempt) or len(plan.reject):
        return
    tokens, form = np.where(view.running, view.num_tokens, 0), view.form.copy()
    tokens[plan.request], form[plan.request] = view.num_tokens[plan.request] + 1, plan.form
    assert view.cache.blocks_by_form(tokens, form).sum() <= view.num_blocks


@settings(max_examples=100)
@given(view=views(), order=st.sampled_from(["value", "fcfs"]))
def test_unlimited_memory_needs_no_hidden_form(view: View, order: str) -> None:
    """With blocks for all, whoever is admitted gets a KV cache, and hidden ones that decode are promoted."""
    plan = AptServe(order=order).decide(with_memory(view, 10**6))
    assert (plan.form == KV).all()


@settings(max_examples=100)
@given(view=views(ratios=[Fraction(1), Fraction(2)]), policy=policies)
def test_no_hidden_form_at_a_ratio_of_one_or_more(view: View, policy: AptServe) -> None:
    """A form that is no smaller is never given, whatever the options."""
    assert (policy.decide(view).form == KV).all()


@settings(max_examples=100)
@given(view=views(), forms=st.sampled_from(["kv", "hidden"]))
def test_forms_given(view: View, forms: str) -> None:
    """Whoever is admitted gets the only form on offer."""
    plan = AptServe(forms=forms).decide(view)
    new = ~view.running[plan.request] | np.isin(plan.request, plan.preempt)
    assert (plan.form[new] == (KV if forms == "kv" else CacheForm.HIDDEN)).all()


@settings(max_examples=100)
@given(view=views())
def test_no_promotion_when_off(view: View) -> None:
    """Without promotion who runs keeps its form."""
    assert not len(AptServe(promote=False).decide(view).convert)


@settings(max_examples=100)
@given(view=views())
def test_fcfs_order_is_order_of_arrival(view: View) -> None:
    """With the hybrid cache too: none who waits, and fits the pool, is passed by one who came later."""
    plan = AptServe(order="fcfs").decide(view)
    if len(plan.preempt):
        return
    waiting = np.setdiff1d(np.flatnonzero(~view.running), plan.reject).tolist()
    assert admitted(view, plan) == waiting[: len(admitted(view, plan))]


def rows(plan: Plan) -> tuple[list[int], list[int]]:
    """Rows and forms of the entries."""
    return plan.request.tolist(), plan.form.tolist()


def test_a_lone_request_that_arrives_exactly_now() -> None:
    """It is admitted at once, even if iterations are believed to take no time."""
    for times in (IterationTime(), IterationTime(fixed_s=0.1)):
        assert rows(AptServe().decide(view_of([Seen(20, arrived_at_s=10.0)], times=times))) == ([0], [KV])


def test_a_lone_request_of_the_whole_pool() -> None:
    """A prompt that fills all blocks is admitted when nothing runs, without room for another token."""
    assert rows(AptServe().decide(view_of([Seen(1600)]))) == ([0], [KV])


def test_a_lone_request_that_fits_only_hidden() -> None:
    """Its rebuilding is not held against it, however dear: it has no other form."""
    dear = IterationTime(rho_s_per_block=100.0)
    assert rows(AptServe().decide(view_of([Seen(3000, arrived_at_s=9.9)], times=dear, max_tokens=4096))) == (
        [0],
        [CacheForm.HIDDEN],
    )


def test_iteration_type_by_pending_times() -> None:
    """One that waits for 0.3 s against two that run since 0.1 s, then since 0.2 s."""
    waits = Seen(20, arrived_at_s=9.7)
    recent = [running(30, last_token_at_s=9.9), running(30, last_token_at_s=9.9), waits]
    assert AptServe().decide(view_of(recent)).request.tolist() == [2]
    longer = [running(30, last_token_at_s=9.8), running(30, last_token_at_s=9.8), waits]
    assert AptServe().decide(view_of(longer)).request.tolist() == [0, 1]


def test_decodes_when_nobody_can_be_admitted() -> None:
    """However long a request waits, what runs goes on while there are no blocks for it."""
    view = view_of([Seen(600, arrived_at_s=0.0), running(48, 16), running(30)], num_blocks=7)
    assert AptServe().decide(view).request.tolist() == [1, 2]


def test_admission_leaves_the_block_of_the_next_decode() -> None:
    """Of two free blocks what runs needs one for its next token: a prompt of two waits, and three are enough."""
    requests = [running(16, 1), Seen(20, arrived_at_s=9.5)]
    assert AptServe().decide(view_of(requests, num_blocks=3, ratio=Fraction(1))).request.tolist() == [0]
    assert AptServe().decide(view_of(requests, num_blocks=4, ratio=Fraction(1))).request.tolist() == [1]


def test_hidden_where_memory_is_short_and_waiting_is_dear() -> None:
    """Two long pending requests of 10 blocks each share 15 blocks, one of them in hidden form."""
    requests = [Seen(150, arrived_at_s=9.5), Seen(150, arrived_at_s=9.5)]
    assert sorted(AptServe().decide(view_of(requests, num_blocks=15)).form.tolist()) == [KV, CacheForm.HIDDEN]


def test_kv_where_rebuilding_is_believed_to_be_free() -> None:
    """Of two forms worth the same KV is given as far as blocks are there."""
    requests = [Seen(150, arrived_at_s=9.5), Seen(150, arrived_at_s=9.5)]
    plan = AptServe().decide(view_of(requests, num_blocks=15, times=IterationTime()))
    assert sorted(plan.form.tolist()) == [KV, CacheForm.HIDDEN]


def test_no_hidden_where_rebuilding_is_dearer_than_waiting() -> None:
    """At a second a block for everyone who is pending, one of them waits instead."""
    requests = [Seen(150, arrived_at_s=9.5), Seen(150, arrived_at_s=9.5)]
    plan = AptServe().decide(view_of(requests, num_blocks=15, times=IterationTime(rho_s_per_block=1.0)))
    assert plan.form.tolist() == [KV]


def test_promotes_what_pays_most_for_its_blocks() -> None:
    """Eight spare blocks are enough to promote one of two hidden requests."""
    hidden = [running(150, 1, CacheForm.HIDDEN), running(150, 1, CacheForm.HIDDEN)]
    plan = AptServe().decide(view_of(hidden, num_blocks=18))
    assert plan.request.tolist() == [0, 1] and sorted(plan.form.tolist()) == [KV, CacheForm.HIDDEN]
    assert plan.convert.tolist() == plan.request[plan.form == KV].tolist()


def test_promotion_leaves_the_blocks_of_the_next_token() -> None:
    """A promotion that takes the last block, which the next token of the other one needs, is not made."""
    requests = [running(48, 1, CacheForm.HIDDEN), running(15, 1)]
    assert not len(AptServe().decide(view_of(requests, num_blocks=5)).convert)
    assert AptServe().decide(view_of(requests, num_blocks=6)).convert.tolist() == [0]


def test_no_promotion_while_the_next_tokens_lack_blocks() -> None:
    """A block is free, but the next token of each of the others needs one."""
    requests = [running(15, 1, CacheForm.HIDDEN), running(15, 1), running(15, 1), running(15, 1)]
    assert not len(AptServe().decide(view_of(requests, num_blocks=5)).convert)
    assert AptServe().decide(view_of(requests, num_blocks=8)).convert.tolist() == [0]


def test_preempts_as_few_as_blocks_need() -> None:
    """Three requests need a block more each, and one is free: the least valuable one makes room for the others."""
    requests = [running(32, last_token_at_s=since_s) for since_s in (9.5, 9.9, 9.6)]
    plan = AptServe().decide(view_of(requests, num_blocks=7))
    assert plan.request.tolist() == [0, 2] and plan.preempt.tolist() == [1]


def test_preempts_the_least_valuable_of_those_left_out() -> None:
    """Two of four are fed, which takes a block; of the other two the one with the newer token makes room."""
    requests = [running(32, last_token_at_s=since_s) for since_s in (9.8, 9.5, 9.6, 9.9)]
    plan = AptServe().decide(view_of(requests, num_blocks=9, max_seqs=2))
    assert plan.request.tolist() == [1, 2] and plan.preempt.tolist() == [3]


def test_who_missed_an_objective_gives_way() -> None:
    """Near zero: of two that wait for the same blocks, the one that can still meet its objective is admitted."""
    requests = [Seen(150, arrived_at_s=5.0), Seen(150, arrived_at_s=9.5)]
    view = view_of(requests, num_blocks=10, ratio=Fraction(1))
    assert AptServe(fallback="paper").decide(view).request.tolist() == [1]
    assert AptServe(fallback="decaying").decide(view).request.tolist() == [1]
    assert AptServe(fallback="none").decide(view).request.tolist() == [0]


def test_an_objective_that_passes_during_the_prefill_is_missed() -> None:
    """One pending for 0.95 s of 1 s cannot meet it in an iteration of 0.1 s; without fallback it would go first."""
    requests = [Seen(150, arrived_at_s=9.05), Seen(150, arrived_at_s=9.5)]
    view = view_of(requests, num_blocks=10, ratio=Fraction(1), times=IterationTime(fixed_s=0.1))
    assert AptServe().decide(view).request.tolist() == [1]
    assert AptServe(fallback="none").decide(view).request.tolist() == [0]


def test_who_missed_is_served_from_what_is_left() -> None:
    """Near zero is above zero."""
    view = view_of([Seen(20, arrived_at_s=1.0), Seen(20, arrived_at_s=9.9)])
    assert AptServe().decide(view).request.tolist() == [0, 1]


def test_a_prompt_beyond_the_token_budget() -> None:
    """Admitted with a chunk of the budget; the rest is fed beside the decodes, which never wait for it."""
    first = AptServe().decide(view_of([Seen(250)], max_tokens=100))
    assert first.num_tokens.tolist() == [100]
    later = view_of([Seen(250, num_cached=100), running(20)], max_tokens=100)
    assert AptServe().decide(later).num_tokens.tolist() == [99, 1]


def test_outgrown_the_pool_in_kv_form() -> None:
    """Its next token does not fit the pool with a KV cache: it is preempted and admitted in hidden form."""
    plan = AptServe().decide(view_of([running(150, 11)], num_blocks=10))
    assert plan.preempt.tolist() == [0] and rows(plan) == ([0], [CacheForm.HIDDEN])
    assert plan.num_tokens.tolist() == [161]


@pytest.mark.parametrize(("forms", "most"), [("hybrid", 320), ("kv", 160), ("hidden", 320)])
def test_rejects_what_the_pool_can_never_hold(forms: str, most: int) -> None:
    """Ten blocks hold 160 tokens of KV, or 320 hidden ones at a ratio of 1/2."""
    plan = AptServe(forms=forms).decide(view_of([Seen(most + 1), Seen(most)], num_blocks=10))
    assert plan.reject.tolist() == [0] and plan.request.tolist() == [1]


def test_no_requests_no_entries() -> None:
    """An empty view idles."""
    assert len(AptServe().decide(view_of([])).request) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("order", "lifo"), ("forms", "half"), ("fallback", "zero"), ("watermark", 1.0), ("watermark", float("nan"))],
)
def test_bad_options(name: str, value: object) -> None:
    """An option that is not accepted is an input error that names it and its value."""
    with pytest.raises(InputError, match=f"{name}: .*{value}"):
        AptServe(**{name: value})  # type: ignore[arg-type]


def seconds(arrivals: Sequence[float]) -> list[Seen]:
    """Requests of 20 tokens that wait."""
    return [Seen(20, arrived_at_s=arrived_at_s) for arrived_at_s in arrivals]


def test_penalty_counts_all_who_are_pending() -> None:
    """The hidden value is p - U rho m: U = 3 unfinished requests, of which one runs, and m = 2 blocks."""
    view = view_of([*seconds([9.4, 9.5]), running(60)], num_blocks=8, times=IterationTime(0.0, 0.0, 0.0, 0.01))
    problem = AptServe(watermark=0.0).decide(view).problem
    assert problem is not None
    np.testing.assert_allclose(problem.values, [[0.6, 0.6 - 3 * 0.01 * 2], [0.5, 0.5 - 3 * 0.01 * 2]])
    assert problem.weights.tolist() == [[2, 1], [2, 1]] and problem.capacity == 4
