"""Runs a policy on a reordered view, and what becomes of plans that were made for some of a view's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aptsched.scheduling.plan import ROWS, Plan, Policy
from aptsched.scheduling.view import View, derived
from aptsched.support.checks import Ints


def decide_in_order(policy: Policy, view: View, order: Ints) -> Plan:
    """The policy's plan if it sees the requests in this order, [n]; rows of the plan are those of the given view.

    Only `decide` is called: if the policy is an `Observer`, the caller has to pass `on_record` on to it.
    """
    return replace(placed(policy.decide(derived(view, order)), order), then_decodes=False)


def placed(plan: Plan, rows: Ints) -> Plan:
    """The plan that was made for a view of these rows, [n], as one for the whole view."""
    return replace(plan, **{name: rows[getattr(plan, name)] for name in ROWS})


def also_rejecting(plan: Plan, rows: Ints, reasons: Sequence[str]) -> Plan:
    """The plan that rejects these requests too, each for its reason; it says nothing of later iterations."""
    own = plan.reject_reasons or [""] * len(plan.reject)
    reject = np.concatenate([plan.reject, rows])
    return replace(plan, reject=reject, reject_reasons=[*own, *reasons], holds=0, then_decodes=False)
