"""Another order of the queue: a policy that takes requests in the order of the view, on a view in that order."""

from __future__ import annotations

from dataclasses import replace

from aptsched.scheduling.plan import ROWS, Plan, Policy
from aptsched.scheduling.view import VIEW_COLUMNS, View
from aptsched.support.checks import Ints


def decide_in_order(policy: Policy, view: View, order: Ints) -> Plan:
    """The policy's plan, with its rows those of the view, when it sees the rows in this order, [n].

    Nothing is kept: where the policy is an `Observer`, who asks here passes `on_record` on to it.
    """
    plan = policy.decide(replace(view, **{name: getattr(view, name)[order] for name in VIEW_COLUMNS}))
    return replace(plan, **{name: order[getattr(plan, name)] for name in ROWS})
