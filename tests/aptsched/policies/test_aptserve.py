"""Apt-Serve: legal and work-conserving plans, each the answer to its problem; forms, promotion, fallback."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.policies.aptserve import AptServe
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import dual_bound
from aptsched.problem.selection import Selection
from aptsched.scheduling.forms import KV, CacheForm
from aptsched.scheduling.view import View
from exact_select import core
from odd_values import check_refused_or_taken
from views import Seen, admitted, assert_legal, view_of, views

policies = st.builds(
    AptServe,
    select=st.sampled_from([AptServe.select, core]),
    order=st.sampled_from(["value", "fcfs"]),
    forms=st.sampled_from(["hybrid", "kv", "hidden"]),
    fallback=st.sampled_from(["paper", "decaying", "none"]),
    charge=st.sampled_from(["paper", "lifetime"]),
    promote=st.booleans(),
    watermark=st.sampled_from([0.0, 0.01, 0.2]),
)


def with_memory(view: View, num_blocks: int) -> View:
    """The same requests over a larger pool."""
    return replace(view, num_blocks=num_blocks, free_blocks=num_blocks - int(view.num_held.sum()))


@st.composite
def prefill_views(draw: st.DrawFn) -> View:
    """Views in which what runs has its newest token just now, and some blocks are free: a prefill's turn."""
    view = draw(views())
    view = with_memory(view, view.num_blocks + draw(st.integers(0, 40)))
    pending_since_s = np.where(view.running, view.now_s, view.pending_since_s)
    objective_s = np.where(view.running, view.slo_tpot_s, view.objective_s)
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


def test_no_requests_no_entries() -> None:
    """An empty view idles."""
    assert len(AptServe().decide(view_of([])).request) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order", "lifo"),
        ("forms", "half"),
        ("fallback", "zero"),
        ("charge", "twice"),
        ("watermark", 1.0),
        ("watermark", float("nan")),
    ],
)
def test_bad_options(name: str, value: object) -> None:
    """An option that is not accepted is an input error that names it and its value."""
    with pytest.raises(InputError, match=f"{name}: .*{value}"):
        AptServe(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [field.name for field in fields(AptServe)])
def test_odd_options_are_refused_by_one_message(name: str) -> None:
    """Arrays, containers, objects, numbers: each option is taken, or InputError says what is accepted."""

    def made(value: Any) -> AptServe:
        return AptServe(**{name: value})

    check_refused_or_taken(made)


def test_any_callable_may_select() -> None:
    """Also one that can not be hashed, and has a state of its own."""

    @dataclass
    class Counted:
        calls: int = 0

        def __call__(self, problem: BatchProblem) -> Selection:
            self.calls += 1
            return core(problem)

    counted = Counted()
    assert len(AptServe(select=counted).decide(view_of([Seen(20), Seen(20)], max_seqs=1)).request) == 1
    assert counted.calls == 1
