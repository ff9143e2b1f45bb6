"""Shared by policies that hand views on to another one."""

from __future__ import annotations

from dataclasses import replace

from aptsched.scheduling.plan import Plan, Policy, means_holds


def claimed(policy: Policy, plan: Plan) -> Plan:
    """The policy's plan, without what it says of later iterations if the policy does not mean that (`says_holds`)."""
    if means_holds(policy) or not (plan.holds or plan.then_decodes):
        return plan
    return replace(plan, holds=0, then_decodes=False)
