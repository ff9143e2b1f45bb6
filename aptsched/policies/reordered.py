"""Another order of the queue: a policy that takes requests in the order of the view, on a view in that order."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from aptsched.scheduling.plan import ROWS, Plan, Policy
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints


def decide_in_order(policy: Policy, view: View, order: Ints) -> Plan:
    """The policy's plan, with its rows those of the view, when it sees the rows in this order, [n]."""
    columns: dict[str, Any] = {field.name: getattr(view, field.name) for field in fields(view)}
    moved: dict[str, Any] = {name: column[order] for name, column in columns.items() if isinstance(column, np.ndarray)}
    plan = policy.decide(replace(view, **moved))
    rows: dict[str, Any] = {name: order[getattr(plan, name)] for name in ROWS}
    return replace(plan, **rows)
