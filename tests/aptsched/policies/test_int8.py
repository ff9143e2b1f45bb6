"""Apt-Serve with int8: who gets it, who is compressed to it, and that nobody gets it unasked."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.aptserve import AptServe
from aptsched.policies.form_choice import FORM_SETS
from aptsched.scheduling.certificate_check import check_certificate
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan_check import check_plan
from aptsched.scheduling.view import View
from views import Seen, assert_legal, running, view_of, views

HALF = Fraction(33, 64)  # of bf16, with heads of 64
RATIOS = (Fraction(1, 3), Fraction(1, 2), Fraction(2))
policies = st.builds(
    AptServe,
    order=st.sampled_from(["value", "fcfs"]),
    forms=st.sampled_from(list(FORM_SETS)),
    charge=st.sampled_from(["paper", "lifetime"]),
    promote=st.booleans(),
    watermark=st.sampled_from([0.0, 0.01, 0.2]),
)


@settings(max_examples=300)
@given(view=views(ratios=RATIOS, int8=(HALF, Fraction(1, 4))), policy=policies)
def test_plans_are_legal_and_certified(view: View, policy: AptServe) -> None:
    """Whatever forms requests run in and the policy may give; the problem's columns are in the order of the forms."""
    plan = policy.decide(view)
    check_plan(plan, view)
    check_certificate(plan, view)
    assert_legal(view, plan)


@settings(max_examples=150)
@given(view=views(ratios=RATIOS, int8=(HALF,)), policy=policies)
def test_never_stuck(view: View, policy: AptServe) -> None:
    """Whenever a request is left that the pool can hold, somebody is served."""
    plan = policy.decide(view)
    assert len(plan.request) or len(plan.reject) == len(view.request_id)


@settings(max_examples=150)
@given(view=views(int8=(None, HALF)), policy=policies)
def test_only_who_asks_gives_it(view: View, policy: AptServe) -> None:
    """Of requests that are not in int8 already, and only where the cache offers it."""
    plan = policy.decide(view)
    given = plan.form[view.form[plan.request] != CacheForm.INT8] == CacheForm.INT8
    assert not given.any() or ("int8" in policy.forms and view.cache.offers(CacheForm.INT8))


def two(times: IterationTime, num_blocks: int = 21, forms: str = "kv+int8") -> tuple[View, AptServe]:
    """Two requests of 160 tokens with a KV cache of 10 blocks each, which need 11 each for their next token."""
    requests = [running(159, 2, pending) for pending in (CacheForm.KV, CacheForm.KV)]
    return view_of(requests, num_blocks=num_blocks, times=times, int8=HALF), AptServe(forms=forms)


def test_out_of_blocks_a_request_is_compressed_and_nobody_preempted() -> None:
    """With 21 blocks for two that need 11: one gives half of its blocks back in place, and both run."""
    view, policy = two(IterationTime())
    plan = policy.decide(view)
    assert plan.request.tolist() == [0, 1] and not len(plan.preempt)
    assert len(plan.convert) == 1 and plan.convert_to.tolist() == [CacheForm.INT8]
    assert sorted(plan.form.tolist()) == [CacheForm.KV, CacheForm.INT8]
    check_plan(plan, view)


def test_with_kv_alone_one_of_them_waits() -> None:
    """The same two: only one has its token."""
    view, policy = two(IterationTime(), forms="kv")
    plan = policy.decide(view)
    assert len(plan.request) == 1 and not len(plan.convert)


def test_with_blocks_for_all_nobody_is_compressed() -> None:
    """22 blocks are enough for two that need 11."""
    view, policy = two(IterationTime(), num_blocks=22)
    assert not len(policy.decide(view).convert)


def test_who_would_lose_all_its_value_is_not_compressed() -> None:
    """Where dequantising costs the others more than a token is worth, one waits after all."""
    view, policy = two(IterationTime(dequantise_s_per_block=10.0))
    plan = policy.decide(view)
    assert not len(plan.convert) and len(plan.request) == 1


def test_its_value_is_charged_at_its_own_rate() -> None:
    """p - U r m with U = 2 requests, r = 1/64 s a block and m = 11 blocks; hidden is not on offer."""
    times = IterationTime(rho_s_per_block=0.5, dequantise_s_per_block=1 / 64)
    waiting = [Seen(160, arrived_at_s=2.0)] * 2
    plan = AptServe(forms="kv+int8", fallback="none").decide(view_of(waiting, num_blocks=17, times=times, int8=HALF))
    assert plan.problem is not None and plan.problem.num_forms == 3
    kv, hidden, int8 = plan.problem.values[0].tolist()
    assert kv == hidden == 8.0 and int8 == 8.0 - 2 / 64 * 11
    weights = plan.problem.weights[0].tolist()
    assert (weights[0], weights[2]) == (11, 6) and weights[1] > 17
    assert sorted(plan.form.tolist()) == [CacheForm.KV, CacheForm.INT8]


@pytest.mark.parametrize("forms", FORM_SETS)
def test_a_policy_says_which_forms_it_wants(forms: str) -> None:
    """Int8 where its name is in the option, and nowhere else."""
    assert (CacheForm.INT8 in AptServe(forms=forms).wanted_forms) == ("int8" in forms)


def test_where_it_takes_no_less_than_kv_it_is_not_given() -> None:
    """With heads of two values in fp16 a scale takes as much as they do."""
    view, policy = two(IterationTime())
    view = replace(view, cache=replace(view.cache, ratios={CacheForm.INT8: Fraction(1)}))
    assert np.isin(policy.decide(view).form, [CacheForm.KV]).all()
