"""Shared by policies that hand views on to another one."""

from __future__ import annotations

from dataclasses import replace

from aptsched.scheduling.plan import Plan, Policy, means_holds
from aptsched.scheduling.plan_check import check_plan
from aptsched.scheduling.view import View


def plan_within(policy: Policy, view: View) -> Plan:
    """The policy's plan, without what it says of later iterations if the policy does not mean that (`says_holds`).

    Raises
    ------
    PlanError
        The plan is not legal: it is looked at here, before its rows are read.
    """
    plan = policy.decide(view)
    check_plan(plan, view)
    if means_holds(policy) or not (plan.holds or plan.then_decodes):
        return plan
    return replace(plan, holds=0, then_decodes=False)
