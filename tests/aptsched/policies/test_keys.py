"""Apt-Serve with keys: requests are turned to them and back, in place, and nobody gets them unasked."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.aptserve import AptServe
from aptsched.policies.form_choice import FORM_SETS
from aptsched.scheduling.certificate_check import check_certificate
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan_check import check_plan
from aptsched.scheduling.view import View
from views import assert_legal, running, view_of, views

RATIO = Fraction(9, 16)
policies = st.builds(
    AptServe,
    order=st.sampled_from(["value", "fcfs"]),
    forms=st.sampled_from(list(FORM_SETS)),
    charge=st.sampled_from(["paper", "lifetime"]),
)


@settings(max_examples=150)
@given(view=views(keys=(RATIO, Fraction(5, 8)), int8=(None, Fraction(1, 4))), policy=policies)
def test_plans_are_legal_and_certified(view: View, policy: AptServe) -> None:
    """Whatever forms requests run in and the policy may give."""
    plan = policy.decide(view)
    check_plan(plan, view)
    check_certificate(plan, view)
    assert_legal(view, plan)


@settings(max_examples=100)
@given(view=views(keys=(None, RATIO)), policy=policies)
def test_only_who_asks_gives_them(view: View, policy: AptServe) -> None:
    """To requests that have none already, and only where the cache offers them."""
    plan = policy.decide(view)
    given = plan.form[view.form[plan.request] != CacheForm.KEYS] == CacheForm.KEYS
    assert not given.any() or ("keys" in policy.forms and view.cache.offers(CacheForm.KEYS))


def test_out_of_blocks_a_request_is_turned_to_keys_and_nobody_preempted() -> None:
    """Two of 160 tokens in KV form need 11 blocks each and have 21: one is turned, to ceil(161 / 28) = 6 blocks."""
    requests = [running(159, 2, form) for form in (CacheForm.KV, CacheForm.KV)]
    view = view_of(requests, num_blocks=21, keys=RATIO)
    plan = AptServe(forms="kv+keys").decide(view)
    assert plan.request.tolist() == [0, 1] and not len(plan.preempt)
    assert plan.convert_to.tolist() == [CacheForm.KEYS]
    assert sorted(plan.form.tolist()) == [CacheForm.KV, CacheForm.KEYS]


@pytest.mark.parametrize(("num_blocks", "form"), [(10, CacheForm.KEYS), (11, CacheForm.KV)])
def test_turned_back_only_with_blocks_for_kv(num_blocks: int, form: CacheForm) -> None:
    """One of 160 tokens as keys, which needs 11 blocks in KV form: keys cost no time, so it stays where it cannot."""
    view = view_of([running(159, 2, CacheForm.KEYS)], num_blocks=num_blocks, keys=RATIO)
    plan = AptServe(forms="kv+keys").decide(view)
    assert plan.form.tolist() == [form]
