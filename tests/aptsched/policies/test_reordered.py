"""A policy that sees the queue in another order: every field of its plan that holds rows comes back to the view's."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.reordered import decide_in_order
from aptsched.scheduling.plan import ROWS, Plan, Policy
from aptsched.scheduling.plan_check import check_plan
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints
from random_policy import RandomPolicy
from views import Seen, view_of, views

SEEDS = st.integers(0, 2**32 - 1)


@dataclass
class Says:
    """One plan, whatever it sees."""

    plan: Plan

    def decide(self, view: View) -> Plan:
        return self.plan


@dataclass
class Shuffled:
    """A policy that sees each view in a random order."""

    rng: np.random.Generator
    policy: Policy

    def decide(self, view: View) -> Plan:
        return decide_in_order(self.policy, view, self.rng.permutation(len(view.request_id)))


def test_all_arrays_of_a_plan_hold_rows_but_three() -> None:
    """Tokens and forms belong to entries and conversions; whatever else is added is rows, or has to be named here."""
    arrays = {field.name for field in fields(Plan) if isinstance(getattr(Plan(), field.name), np.ndarray)}
    assert arrays - set(ROWS) == {"num_tokens", "form", "convert_to"}


@given(SEEDS, st.integers(1, 12))
def test_every_field_comes_back(seed: int, n: int) -> None:
    """Rows of each field, drawn, are those of the same requests in the view."""
    rng = np.random.default_rng(seed)
    order: Ints = rng.permutation(n)
    drawn: dict[str, Any] = {name: rng.permutation(n)[: rng.integers(n + 1)] for name in ROWS}
    plan = decide_in_order(Says(Plan(**drawn)), view_of([Seen(10)] * n), order)
    assert all(getattr(plan, name).tolist() == order[drawn[name]].tolist() for name in ROWS)


@settings(max_examples=150, deadline=None)
@given(view=views(most_host_blocks=60), seed=SEEDS)
def test_a_legal_plan_stays_legal(view: View, seed: int) -> None:
    """With swaps in both directions, conversions, preemptions and rejections, all of which are drawn."""
    rng = np.random.default_rng(seed)
    policy = Shuffled(rng, RandomPolicy(rng, reject_share=0.2, idle_share=0.0))
    plan = policy.decide(view)
    check_plan(plan, view)
