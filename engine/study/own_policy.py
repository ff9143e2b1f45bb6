"""A policy of the user's own in a study: an error in it becomes one message that says where."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from aptsched.policies.fitted import Fitted
from aptsched.policies.shed import Shed
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan, Policy, decided, observer_of
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.scheduling.wanted_forms import wanted_forms
from aptsched.support.own_code import blamed


def own_within(policy: Policy) -> OwnPolicy | None:
    """The user's own policy that this is, or that is within it; None if there is none."""
    while isinstance(policy, Shed | Fitted):
        policy = policy.policy
    return policy if isinstance(policy, OwnPolicy) else None


class OwnPolicy:
    """Wraps a policy: passes on its decisions, its wanted forms and records of requests, and words its errors.

    Parameters
    ----------
    name : str
        The policy's name in messages.
    policy : Policy

    Attributes
    ----------
    place : str
        Where in its file it decides, as the end of a message; empty if not known.
    """

    def __init__(self, name: str, policy: Policy) -> None:
        with blamed("policy", name):
            asked = [
                getattr(policy, each, None) for each in ("decide", "wanted_forms", "on_record")
            ]  # may be properties
        self._name, self._policy, self._observer = name, policy, observer_of(policy)
        code = getattr(getattr(asked[0], "__func__", asked[0]), "__code__", None)
        self.place = "" if code is None else f" (decided at {code.co_filename}, line {code.co_firstlineno})"

    @property
    def wanted_forms(self) -> Sequence[CacheForm]:
        """The forms that the policy says it may give."""
        return wanted_forms(self._policy)

    def decide(self, view: View) -> Plan:
        """The plan of the policy."""
        with blamed("policy", self._name):
            plan = decided(self._policy, view)
        if inspect.iscoroutine(plan):
            plan.close()  # a coroutine is no plan; closed, so that Python does not warn about it too
        return plan

    def on_record(self, record: RequestRecord) -> None:
        """Passes the record of a request that has ended to the policy, if it is an `Observer`."""
        if self._observer is not None:
            with blamed("policy", self._name):
                self._observer(record)
