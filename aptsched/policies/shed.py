"""A policy under which requests are rejected as soon as they cannot make their first token any more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.due_times import latest_start_s
from aptsched.policies.reordered import also_rejecting, placed
from aptsched.policies.wrapped import plan_within
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan, Policy, observer_of, says_holds
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View, derived
from aptsched.scheduling.wanted_forms import wanted_forms
from aptsched.support.arrays import any_of
from aptsched.support.checks import Floats, Ints

LATE = "its first token was due {due_s:.6g} s after its arrival, and would come {late_s:.3g} s later at the earliest"


@dataclass(frozen=True, eq=False)
class Shed:
    """The policy, without those that wait and cannot make their first token in time any more: they are rejected.

    That is a request without a cache whose first token would come after arrival + TTFT if it were fed at once, alone,
    in as few iterations as its prompt takes, by the times that the view has. The policy does not see who is rejected.

    Parameters
    ----------
    policy : Policy
        Any one.

    Notes
    -----
    Ours, so that rejection is no policy's private advantage: Mooncake and SCORPIO reject early by rules of their own.
    """

    policy: Policy

    @property
    def wanted_forms(self) -> tuple[CacheForm, ...]:
        """Those of the policy."""
        return wanted_forms(self.policy)

    def on_record(self, record: RequestRecord) -> None:
        """Tells the policy, if it is an `Observer`."""
        observer = observer_of(self.policy)
        if observer is not None:
            observer(record)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The policy's plan for the others, and the rejections."""
        unserved = ((view.num_cached == 0) & (view.num_tokens == view.num_prompt_tokens)).nonzero()[0]
        if not len(unserved):
            return self._kept(view)
        latest_s = latest_start_s(view, unserved)
        is_late = latest_s < view.now_s
        if not any_of(is_late):
            plan = self._kept(view)
            return replace(plan, holds_until_s=min(plan.holds_until_s, latest_s.min().item())) if plan.holds else plan
        late = unserved[is_late]
        return self._without(view, late, _reasons(view, late, latest_s[is_late]))

    def _kept(self, view: View) -> Plan:
        """The policy's plan where nobody is late; whom it preempts before the first token may become so."""
        plan = plan_within(self.policy, view)
        unserved = view.num_tokens[plan.preempt] == view.num_prompt_tokens[plan.preempt]
        return replace(plan, holds=0) if any_of(unserved) else plan

    def _without(self, view: View, late: Ints, reasons: list[str]) -> Plan:
        """The policy's plan as if these requests were not there, and their rejections."""
        rows = np.delete(np.arange(len(view.num_tokens)), late)
        return also_rejecting(placed(plan_within(self.policy, derived(view, rows)), rows), late, reasons)


def _reasons(view: View, late: Ints, latest_s: Floats) -> list[str]:
    late_s, due_s = (view.now_s - latest_s).tolist(), view.slo_ttft_s[late].tolist()
    return [LATE.format(due_s=due, late_s=by) for due, by in zip(due_s, late_s, strict=True)]
