"""Under `shed(POLICY)` who cannot make the first token any more is rejected, and the policy does not see it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.policies.aptserve import AptServe
from aptsched.policies.due_times import latest_start_s
from aptsched.policies.fcfs import FCFS
from aptsched.policies.fitted import Fitted
from aptsched.policies.named import load_policy
from aptsched.policies.shed import Shed
from aptsched.policies.vllm_v1 import VLLMv1
from aptsched.scheduling.certificate_check import certifies_itself, check_certificate
from aptsched.scheduling.plan import ALWAYS, ROWS, Plan
from aptsched.scheduling.view import View, derived
from aptsched.scheduling.wanted_forms import wanted_forms
from views import Seen, assert_legal, running, view_of, views

# By `views.TIMES` a prompt of 100 tokens takes 0.03 s: 0.02 s, and 0.1 ms for each token.
LATE, JUST = Seen(100, arrived_at_s=9.02), Seen(100, arrived_at_s=9.0625)  # at 10 s, by objectives of 1 s


def test_who_cannot_make_its_first_token_is_rejected() -> None:
    """10 s + 0.03 s are later than 9.02 s + 1 s, and not later than 9.0625 s + 1 s: the second is served."""
    plan = Shed(VLLMv1()).decide(view_of([running(30), LATE, JUST]))
    assert plan.reject.tolist() == [1] and plan.request.tolist() == [0, 2] and plan.num_tokens.tolist() == [1, 100]
    (reason,) = plan.reject_reasons
    assert reason == "its first token was due 1 s after its arrival, and would come 0.01 s later at the earliest"


def test_a_prompt_beyond_the_token_budget_takes_several_iterations() -> None:
    """In parts of 40 tokens three iterations: 0.07 s, which is too long for the second request too."""
    plan = Shed(VLLMv1()).decide(view_of([running(30), LATE, JUST], max_tokens=40))
    assert plan.reject.tolist() == [1, 2]


def test_who_has_begun_is_not_rejected() -> None:
    """However late: with a token, preempted since then, or with a part of its prompt in the cache."""
    requests = [running(30, arrived_at_s=0.0), Seen(90, 1, last_token_at_s=1.0), Seen(90, num_cached=16)]
    assert not len(Shed(FCFS()).decide(view_of(requests)).reject)


@settings(max_examples=80, deadline=None)
@given(view=views(), name=st.sampled_from(["fcfs", "vllm-v1", "sarathi", "fastserve", "aptserve", "aptserve:forms=kv"]))
def test_the_others_are_served_as_if_the_rejected_were_not_there(view: View, name: str) -> None:
    """Each field of the plan is that for a view without them, in rows of the whole view, and the plan is legal."""
    plan = load_policy(f"shed({name})").decide(view)
    assert_legal(view, plan)
    waiting = np.flatnonzero((view.num_cached == 0) & (view.num_tokens == view.num_prompt_tokens))
    late = waiting[latest_start_s(view, waiting) < view.now_s]
    left = np.setdiff1d(np.arange(len(view.request_id)), late)
    alone = load_policy(name).decide(derived(view, left))
    for field in ROWS:
        added = late.tolist() if field == "reject" else []
        assert getattr(plan, field).tolist() == [*left[getattr(alone, field)].tolist(), *added]
    assert plan.num_tokens.tolist() == alone.num_tokens.tolist() and plan.form.tolist() == alone.form.tolist()
    assert not len(late) or len(plan.reject_reasons) == len(plan.reject)
    check_certificate(plan, view)


def test_a_plan_holds_until_somebody_who_waits_is_too_late() -> None:
    """Of 8 blocks 6 are free, and the second request needs 7 by 10.0325 s; where nobody waits, time changes nothing."""
    plan = Shed(VLLMv1()).decide(view_of([running(30), JUST], num_blocks=8))
    assert plan.holds == ALWAYS and plan.holds_until_s == pytest.approx(10.0325)
    alone = Shed(VLLMv1()).decide(view_of([running(30)], num_blocks=8))
    assert alone.holds == ALWAYS and alone.holds_until_s == np.inf


class Heir(VLLMv1):
    """A policy whose `decide` may call what it has changed, so that what it says of later iterations is not meant."""


class Own:
    """A policy of one's own with an inherited name, and forms."""

    wanted_forms = AptServe(forms="int8").wanted_forms

    def decide(self, view: View) -> Plan:
        """Idles, and claims that this holds."""
        return Plan(holds=ALWAYS, then_decodes=True)


@pytest.mark.parametrize("around", [Shed, Fitted])
def test_what_is_not_meant_within_is_not_said_outside(around: type[Shed] | type[Fitted]) -> None:
    """An unmarked `decide` within is asked in every iteration, and its certificates are checked."""
    view = view_of([running(30)])
    for policy in (Heir(), Own()):
        plan = around(policy).decide(view)
        assert plan.holds == 0 and plan.then_decodes is False
    assert wanted_forms(around(Own())) == Own.wanted_forms
    assert not certifies_itself(around(Own())) and certifies_itself(around(AptServe()))


def test_policies_within_others_by_name() -> None:
    """In any order, with options; what is not known within is refused as it is alone, and options go within."""
    policy = load_policy("shed(fitted(aptserve:forms=kv))")
    assert isinstance(policy, Shed) and isinstance(policy.policy, Fitted)
    assert policy.policy.policy == AptServe(forms="kv")
    assert isinstance(load_policy("fitted(shed(fcfs))"), Fitted)
    for text in ("shed()", "shed(nobody)", "shed(fcfs):watermark=1", "shed"):
        with pytest.raises(InputError, match=r"^policy: .* is not known; fcfs.*shed\(POLICY\) or fitted\(POLICY\)"):
            load_policy(text)
    with pytest.raises(InputError, match=r"^policy: 'shed\(fcfs\):watermark=1' is not known; .*with its options, as"):
        load_policy("shed(fcfs):watermark=1")
    with pytest.raises(InputError, match=r"^policy: 'shed\(fcfs' has a parenthesis without its other one"):
        load_policy("shed(fcfs")


def test_times_decide_who_is_late() -> None:
    """By times of half as much both prompts are in time."""
    view = view_of([LATE, JUST])
    half = replace(view.times, fixed_s=0.005, per_token_s=5e-5)
    assert len(Shed(FCFS()).decide(derived(view, times=half)).request) == 2
