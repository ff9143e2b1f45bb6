"""A policy of the user's own in a study: what goes wrong in it is one message that says where."""

from __future__ import annotations

import inspect

from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.view import View
from aptsched.support.own_code import blamed


class OwnPolicy:
    """Decides as the policy does.

    Parameters
    ----------
    name : str
        What it is called in messages.
    policy : Policy

    Attributes
    ----------
    place : str
        Where it decides, for a message that ends so; empty where that is not known.
    """

    def __init__(self, name: str, policy: Policy) -> None:
        self._name, self._policy = name, policy
        code = getattr(getattr(policy.decide, "__func__", policy.decide), "__code__", None)
        self.place = "" if code is None else f" (decided at {code.co_filename}, line {code.co_firstlineno})"

    def decide(self, view: View) -> Plan:
        """The plan of the policy."""
        with blamed("policy", self._name):
            plan = self._policy.decide(view)
        if inspect.iscoroutine(plan):
            plan.close()  # which is no plan either; Python would say so a second time
        return plan
