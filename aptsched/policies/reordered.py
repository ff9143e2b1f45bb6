"""Runs a policy on a reordered view, for policies that take requests in the order of the view."""

from __future__ import annotations

from dataclasses import replace

from aptsched.scheduling.plan import ROWS, Plan, Policy
from aptsched.scheduling.view import View, derived
from aptsched.support.checks import Ints


def decide_in_order(policy: Policy, view: View, order: Ints) -> Plan:
    """The policy's plan if it sees the requests in this order, [n]; rows of the plan are those of the given view.

    Only `decide` is called: if the policy is an `Observer`, the caller has to pass `on_record` on to it.
    """
    plan = policy.decide(derived(view, order))
    return replace(plan, then_decodes=False, **{name: order[getattr(plan, name)] for name in ROWS})
