"""What a policy says of its decision is its problem and certificate, or the plan is refused at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem, Multipliers, Selection, greedy
from aptsched.policies.aptserve import AptServe
from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.certificate_check import certifies_itself, check_certificate
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.plan_check import PlanError
from aptsched.scheduling.view import View
from solvers.core import exact_selection
from views import Seen, running, view_of, views

FORMS = ("hybrid", "kv", "hidden")
REQUESTS = [running(40), running(50), Seen(20, arrived_at_s=1.0), Seen(400, arrived_at_s=2.0), Seen(33)]


@settings(max_examples=150, deadline=None)
@given(view=views(), forms=st.sampled_from(FORMS), fcfs=st.booleans())
def test_what_apt_serve_says_holds(view: View, forms: str, fcfs: bool) -> None:
    """In each of its settings: objective, use, bound and entries are those of the selection."""
    check_certificate(AptServe(forms=forms, order="fcfs" if fcfs else "value").decide(view), view)


def said() -> tuple[Plan, View]:
    """A plan that serves some of five requests, with its certificate."""
    view = view_of(REQUESTS, num_blocks=20)
    plan = AptServe().decide(view)
    assert plan.problem is not None and plan.selection is not None and len(plan.request)
    check_certificate(plan, view)
    return plan, view


def of_selection(**changes: Any) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        assert plan.selection is not None
        return replace(plan, selection=replace(plan.selection, **changes))

    return change


def of_problem(**changes: Any) -> Callable[[Plan], Plan]:
    """A problem that nobody has checked."""

    def change(plan: Plan) -> Plan:
        fields = {name: getattr(plan.problem, name) for name in BatchProblem.__dataclass_fields__}
        return replace(plan, problem=BatchProblem.unchecked(**{**fields, **changes}))

    return change


def of_rows(take: Callable[[Any], Any]) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, candidates=take(plan.candidates))


def of_form(change: Callable[[Any], Any]) -> Callable[[Plan], Plan]:
    def changed(plan: Plan) -> Plan:
        assert plan.selection is not None
        return replace(plan, selection=replace(plan.selection, form=change(plan.selection.form)))

    return changed


def other_problem(plan: Plan) -> Plan:
    """The answer to a problem of the same size."""
    assert plan.problem is not None
    other = BatchProblem(plan.problem.values * 2 + 1, plan.problem.weights, plan.problem.capacity)
    return replace(plan, selection=greedy(other))


NOT_NUMBERS: list[Any] = [math.nan, math.inf, -math.inf, None, "1", True, 1j, np.zeros(3), 10**400]
WRONG = [
    *(of_selection(**{name: value}) for name in ("objective_s", "bound_s") for value in NOT_NUMBERS),
    *(of_selection(multipliers=Multipliers(**{f"per_{unit}_s": value}))
      for unit in ("block", "token", "seq") for value in [*NOT_NUMBERS[:3], -1e-9, "0", None]),
    *(of_selection(multipliers=value) for value in (None, {"per_block_s": 0.0}, (0.0, 0.0, 0.0))),
    *(of_selection(**{name: value}) for name in ("num_blocks", "num_tokens") for value in (0, 10**6, 1.0, None, "x")),
    of_selection(objective_s=1.0), of_selection(bound_s=0.0), of_selection(bound_s=-1.0),
    *(of_form(change) for change in (lambda f: f[:-1], lambda f: np.append(f, 1), lambda f: f * 0, lambda f: f + 5,
                                     lambda f: f - 5, lambda f: f.astype(float), list, lambda f: f[None])),
    *(of_problem(values=value) for value in (np.array([[math.nan, 1.0]]), np.zeros((0, 2)), np.array([["x"]]), None)),
    *(of_problem(capacity=value) for value in (-1, 1.5, None, math.inf)),
    *(of_problem(weights=value) for value in (None, np.array([[-1]]))),
    *(of_problem(max_seqs=value) for value in (0, -1, "x")),
    *(of_rows(take) for take in (lambda rows: rows[:-1], lambda rows: np.roll(rows, 1))),
    of_rows(lambda rows: np.append(rows, 0)),
    other_problem,
    lambda plan: replace(plan, problem=object()),
    lambda plan: replace(plan, problem=object.__new__(BatchProblem)),
    lambda plan: replace(plan, problem={"values": [[1.0]]}),
    lambda plan: replace(plan, selection=object()),
    lambda plan: replace(plan, selection=(1, 2)),
    lambda plan: replace(plan, problem=None, selection=object()),
    lambda plan: replace(plan, problem=object(), selection=None),
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG)
def test_what_is_no_certificate_is_refused(change: Callable[[Plan], Plan]) -> None:
    """Wrong types and sizes, numbers that are none, another problem's selection, candidates that are not served so."""
    plan, view = said()
    with pytest.raises(PlanError, match=r"^(selection|problem|candidates): "):
        check_certificate(change(plan), view)


@given(st.integers(0, 2**32 - 1), st.floats(allow_nan=True), st.sampled_from(["objective_s", "bound_s", "per_block_s"]))
def test_any_other_number_is_refused_or_proves_no_less(seed: int, value: float, name: str) -> None:
    """A bound may be higher than need be, and multipliers others; then the bound must be theirs."""
    plan, view = said()
    assert plan.selection is not None
    if name == "per_block_s":
        wrong = of_selection(multipliers=replace(plan.selection.multipliers, per_block_s=value))(plan)
    else:
        wrong = of_selection(**{name: value})(plan)
    try:
        check_certificate(wrong, view)
    except PlanError:
        return
    assert math.isfinite(value) and (name != "objective_s" or value == plan.selection.objective_s)
    assert name != "bound_s" or value >= plan.selection.objective_s * (1 - 1e-9)


@dataclass
class Mine:
    """A policy of one's own that says what another one says."""

    def decide(self, view: View) -> Plan:
        return AptServe().decide(view)


def certified(problem: BatchProblem) -> Selection:
    """An answer of one's own."""
    return greedy(problem)


@pytest.mark.parametrize(
    ("policy", "ours"),
    [
        (AptServe(), True),
        (AptServe(select=exact_selection), True),
        (FCFS(), True),
        (Mine(), False),
        (AptServe(select=certified), False),
        (AptServe(select=partial(greedy)), False),
    ],
)
def test_only_what_we_make_is_taken_as_it_is(policy: Policy, ours: bool) -> None:
    """The certificate of any other policy, or of an answer of one's own, is checked in each decision."""
    assert certifies_itself(policy) == ours
