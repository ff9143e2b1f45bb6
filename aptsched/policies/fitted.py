"""A policy whose times of iterations are fitted to what iterations take."""

from __future__ import annotations

from dataclasses import replace

from aptsched.policies.step_times import StepTimes
from aptsched.policies.wrapped import plan_within
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan, Policy, observer_of, says_holds
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View, derived
from aptsched.scheduling.wanted_forms import wanted_forms


class Fitted:
    """The policy, which sees times of iterations (`view.times`) that are fitted to what iterations took so far.

    Parameters
    ----------
    policy : Policy
        Any one; of its own it keeps its times as they are given.

    Notes
    -----
    The fit is ours (`TimesFit`); QoServe, SLAI and others fit a model of their own offline. Times begin as they are
    given, and change where something else than decodes was run. It remembers: make a new object for each run.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._observer, self._step_times = observer_of(policy), StepTimes()

    @property
    def wanted_forms(self) -> tuple[CacheForm, ...]:
        """Those of the policy."""
        return wanted_forms(self.policy)

    def on_record(self, record: RequestRecord) -> None:
        """Tells the policy too, if it is an `Observer`."""
        self._step_times.on_record(record)
        if self._observer is not None:
            self._observer(record)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The policy's plan."""
        plan = plan_within(self.policy, derived(view, times=self._step_times.times(view)))
        decodes = self._step_times.decided(view, plan)
        # What follows an iteration of another kind is looked at, to know when that ended.
        return plan if decodes else replace(plan, holds=0, then_decodes=False)
