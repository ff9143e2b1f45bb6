"""Apt-Serve with charges for a request's life: what they come to, and that forms follow prices."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.aptserve import AptServe
from aptsched.policies.form_charges import worthwhile
from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.forms import KV, CacheForm
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.scheduling.view import View
from views import Seen, running, view_of, views

HIDDEN, INT8 = CacheForm.HIDDEN, CacheForm.INT8
HALF = Fraction(33, 64)  # int8, of bf16, with heads of 64
NO_COUNTS: dict[str, Any] = dict.fromkeys((*LABELS, *COUNTS), 0)
no_dearer = st.sampled_from([0.0, -1e-9, -1e-4])  # rho, in seconds a block


def policy(num_output_tokens: int = 4, forms: str = "hybrid") -> AptServe:
    """A policy that has seen one request finish, with so many tokens."""
    made = AptServe(forms=forms, fallback="none", charge="lifetime")
    made.on_record(RequestRecord(9, 0.0, 5, SLO(), np.zeros(num_output_tokens), Outcome.FINISHED, **NO_COUNTS))
    return made


def with_rho(view: View, rho_s_per_block: float, rebuild_s_per_block: float = 3e-4) -> View:
    """The view with other prices of the hidden form."""
    times = replace(view.times, rho_s_per_block=rho_s_per_block, rebuild_s_per_block=rebuild_s_per_block)
    return replace(view, times=times)


def two(times: IterationTime) -> View:
    """Two that wait since 8 s, of 11 blocks of KV each with the next token, or 6 hidden, over a pool of 17."""
    return view_of([Seen(160, arrived_at_s=2.0)] * 2, num_blocks=17, times=times)


def test_who_waits_is_charged_for_its_expected_life() -> None:
    """p - U rho m L with U = 2, rho = 1/512 s a block, m = 11 blocks and L = 4 iterations."""
    plan = policy().decide(two(IterationTime(rho_s_per_block=1 / 512)))
    assert plan.problem is not None
    assert plan.problem.values.tolist() == [[8.0, 8.0 - 2 * 11 * 4 / 512]] * 2
    assert sorted(plan.form.tolist()) == [KV, HIDDEN]


def test_short_lives_are_hidden_and_long_ones_wait() -> None:
    """At 1/16 s a block a life of 4 iterations costs 5.5 of 8 s, and one of 8 costs more than all of them."""
    view = two(IterationTime(rho_s_per_block=1 / 16))
    assert sorted(policy(4).decide(view).form.tolist()) == [KV, HIDDEN]
    assert policy(8).decide(view).form.tolist() == [KV]


def test_the_form_that_adds_least_is_not_charged() -> None:
    """Where int8 saves most, hidden is charged the difference; KV, which is heavier and no faster, is not offered."""
    times = IterationTime(rho_s_per_block=-1 / 512, dequantise_s_per_block=-1 / 256)
    waiting = [Seen(160, arrived_at_s=2.0)] * 2
    plan = policy(forms="hybrid+int8").decide(view_of(waiting, num_blocks=11, times=times, int8=HALF))
    assert plan.problem is not None
    assert plan.problem.values.tolist() == [[8.0, 8.0 - 2 * 11 * 4 / 512, 8.0]] * 2
    assert (plan.problem.weights[:, 0] > 11).all() and plan.form.tolist() == [INT8]


def test_promotion_is_worth_what_it_saves() -> None:
    """U m (L rho - rebuild): at L = 4 rebuilding once may take as long as 4 iterations of it, and no longer."""
    view = view_of([running(150, 1, HIDDEN)] * 2, num_blocks=18, times=IterationTime(rho_s_per_block=1 / 512))
    plan = policy(2).decide(with_rho(view, 1 / 512, 5 / 512))  # 2 tokens are unfinished: L = 4
    assert plan.problem is not None and not len(plan.convert)
    plan = policy(2).decide(with_rho(view, 1 / 512, 1 / 512))
    assert plan.problem is not None and len(plan.convert) == 1
    gains = plan.problem.values[:, KV - 1] - plan.problem.values[:, HIDDEN - 1]
    assert gains.tolist() == [2 * 10 * (4 / 512 - 1 / 512)] * 2


def test_out_of_blocks_nobody_is_promoted_and_who_runs_is_charged_nothing() -> None:
    """However dear its form: it has paid for that, and leaving it out would save none of the price."""
    view = view_of([running(32, 1, form) for form in (CacheForm.KV, HIDDEN, HIDDEN, CacheForm.KV)], num_blocks=9)
    view = replace(with_rho(view, 100.0), max_seqs=3)
    plan = policy().decide(view)
    assert plan.problem is not None and len(plan.request) == 3 and not len(plan.convert)
    own = plan.problem.values[np.arange(4), view.form - 1]
    assert own.tolist() == [own[0]] * 4


@settings(max_examples=200)
@given(view=views(int8=(None, HALF)), rho=no_dearer, forms=st.sampled_from(["hybrid", "hybrid+int8"]))
def test_never_promotes_where_hidden_is_no_dearer(view: View, rho: float, forms: str) -> None:
    """Nothing becomes KV, and nothing that is admitted is given KV, where hidden is lighter and adds no time."""
    plan = policy(forms=forms).decide(with_rho(view, rho))
    assert not (plan.convert_to == KV).any()
    new = ~view.running[plan.request] | np.isin(plan.request, plan.preempt)
    assert not (plan.form[new] == KV).any()


@settings(max_examples=200)
@given(view=views(), rho=no_dearer)
def test_where_hidden_is_no_dearer_it_decides_as_hidden_alone(view: View, rho: float) -> None:
    """The same entries and preemptions as with the forms "hidden", whoever runs already."""
    view = with_rho(view, rho)
    plan, alone = policy().decide(view), policy(forms="hidden").decide(view)
    for name in ("request", "num_tokens", "form", "preempt", "reject", "convert"):
        assert getattr(plan, name).tolist() == getattr(alone, name).tolist()


@settings(max_examples=200)
@given(view=views())
def test_where_hidden_is_far_too_dear_it_is_kv_alone(view: View) -> None:
    """At a million seconds a block nobody whom the pool could hold in KV form is admitted hidden."""
    plan = policy().decide(with_rho(view, 1e6))
    new = ~view.running[plan.request] | np.isin(plan.request, plan.preempt)
    fits = view.cache.blocks(view.num_tokens[plan.request] + 1, KV) <= view.num_blocks
    assert (plan.form[new & fits] == KV).all()


@settings(max_examples=100)
@given(view=views(), charge=st.sampled_from(["paper", "lifetime"]))
def test_what_others_have_learnt_changes_nothing(view: View, charge: str) -> None:
    """Each object learns for itself: one that has seen no record decides as if the other were not there."""
    before = AptServe(charge=charge).decide(view).form.tolist()
    policy(500).decide(view)
    assert AptServe(charge=charge).decide(view).form.tolist() == before


@pytest.mark.parametrize(
    ("rho", "dequantise", "kept"),
    [
        (2.0, 1.0, (KV, INT8, HIDDEN)),
        (1.0, 2.0, (KV, HIDDEN)),
        (0.0, -1.0, (INT8, HIDDEN)),
        (0.0, 0.0, (HIDDEN,)),
    ],
)
def test_forms_that_add_no_less_than_a_lighter_one_are_needless(
    rho: float, dequantise: float, kept: tuple[int, ...]
) -> None:
    """Where an iteration has no fixed time to share."""
    times = IterationTime(rho_s_per_block=rho, dequantise_s_per_block=dequantise)
    assert worthwhile((KV, INT8, HIDDEN), view_of([], times=times, int8=HALF)) == kept


def test_a_lossy_form_makes_no_exact_one_needless() -> None:
    """KV stays on offer beside int8 however cheap that is, and is given where there are blocks for all."""
    waiting, times = [Seen(160, arrived_at_s=2.0)] * 2, IterationTime(fixed_s=0.02)
    assert worthwhile((KV, INT8), view_of(waiting, times=times, int8=HALF)) == (KV, INT8)
    for num_blocks, forms in ((22, [KV, KV]), (12, [INT8, INT8])):
        view = view_of(waiting, num_blocks=num_blocks, times=times, int8=HALF)
        assert sorted(policy(forms="kv+int8").decide(view).form.tolist()) == forms


def test_forms_in_a_full_pool() -> None:
    """Of 20 ms over 100 blocks one of KV bears 200 us; in hidden form it is half of one, and may add up to 100 us."""
    view = view_of([], num_blocks=100, times=IterationTime(fixed_s=0.02))
    assert worthwhile((KV, HIDDEN), with_rho(view, 0.99e-4)) == (HIDDEN,)
    assert worthwhile((KV, HIDDEN), with_rho(view, 1.01e-4)) == (KV, HIDDEN)
    assert worthwhile((KV, HIDDEN), with_rho(replace(view, num_blocks=200), 0.99e-4)) == (KV, HIDDEN)
