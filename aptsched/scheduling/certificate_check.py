"""Checks the problem and the certificate that a policy gives with its plan, before they are used."""

from __future__ import annotations

import sys
from dataclasses import fields

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.problem.selection import Multipliers, Selection
from aptsched.scheduling.plan import Plan, Policy, nothing
from aptsched.scheduling.plan_check import PlanError, check_integers
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

LARGEST = sys.float_info.max
ROUNDING = 1e-9  # of a bound: a policy that rounds more tightly than `dual_bound` is below it by less


def certifies_itself(policy: Policy) -> bool:
    """Whether policy and `select` are built in: then the certificate is made by `certify`, and need not be checked.

    So it is of a policy that passes on the plans of another one, its attribute `policy`, if both are.
    """
    select = getattr(policy, "select", None)
    answers = select is None or getattr(select, "__module__", "").partition(".")[0] in ("aptsched", "solvers")
    within = getattr(policy, "policy", None)
    ours = answers and type(policy).__module__.startswith("aptsched.policies.")
    return ours and (within is None or certifies_itself(within))


def check_certificate(plan: Plan, view: View) -> None:
    """Checks the problem, the selection and the candidates of a legal plan against each other and its entries.

    Raises
    ------
    PlanError
        One has the wrong type; a number is not finite, or not the one of this selection of this problem; the selection
        is not feasible; the bound is below what its multipliers prove; candidates are not served as it says.
    """
    if plan.problem is not None:
        _check_problem(plan.problem)
    if plan.selection is not None:
        _check_types(plan.selection)
    if plan.problem is None or plan.selection is None:
        return
    problem, selection = plan.problem, plan.selection
    form = selection.form
    n, k = problem.num_requests, problem.num_forms
    if len(form) != n or form.min() < 0 or form.max() > k:
        raise PlanError(f"selection: forms {shown(form.tolist())} are not accepted; {n} from 0 to {k} are")
    _check_feasible(problem, selection)
    _check_claims(problem, selection)
    if plan.candidates is not nothing():
        _check_candidates(plan, selection, view)


def _check_problem(problem: BatchProblem) -> None:
    if type(problem) is not BatchProblem:
        raise PlanError(f"problem: {type(problem).__name__} is not accepted; a BatchProblem is")
    try:
        BatchProblem(**{field.name: getattr(problem, field.name) for field in fields(BatchProblem)})
    except (InputError, TypeError, AttributeError) as error:
        raise PlanError(f"problem: {error}") from error


def _check_types(selection: Selection) -> None:
    if type(selection) is not Selection or type(selection.multipliers) is not Multipliers:
        given = selection if type(selection) is not Selection else selection.multipliers
        raise PlanError(f"selection: {type(given).__name__} is not accepted; a Selection with its Multipliers is")
    check_integers("selection: form", selection.form)
    for name in ("num_blocks", "num_tokens"):
        if type(getattr(selection, name)) is not int:
            raise PlanError(f"selection: {name} {shown(getattr(selection, name))} is not accepted; a whole number is")
    numbers = {"objective_s": selection.objective_s, "bound_s": selection.bound_s, **vars(selection.multipliers)}
    for name, value in numbers.items():
        signed = name in ("objective_s", "bound_s")
        number = isinstance(value, float | int) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST
        if not number or (value < 0 and not signed):
            accepted = "a finite number is" if signed else "a finite number of at least 0 is"
            raise PlanError(f"selection: {name} {shown(value)} is not accepted; {accepted}")


def _check_feasible(problem: BatchProblem, selection: Selection) -> None:
    served = selection.form > 0
    if problem.required is not None and not served[problem.required].all():
        missed = int((problem.required & ~served).argmax())
        raise PlanError(f"selection: request {missed} of the problem is required and not served")
    limits = {"num_blocks": problem.capacity, "num_tokens": problem.max_tokens, "num_seqs": problem.max_seqs}
    for name, limit in limits.items():
        if limit is not None and getattr(selection, name) > limit:
            raise PlanError(f"selection: {name} {getattr(selection, name)} is not accepted; up to {limit} is")


def _check_claims(problem: BatchProblem, selection: Selection) -> None:
    given = selection.multipliers
    for name, limit in (("per_token_s", problem.max_tokens), ("per_seq_s", problem.max_seqs)):
        if limit is None and getattr(given, name):
            raise PlanError(f"selection: {name} {getattr(given, name)} is not accepted; 0 is where there is no limit")
    true = certify(problem, selection.form, given)
    for name in ("objective_s", "num_blocks", "num_tokens"):
        if getattr(selection, name) != getattr(true, name):
            said = shown(getattr(selection, name))
            raise PlanError(f"selection: {name} {said} is not accepted; {getattr(true, name)} is what it comes to")
    if not selection.bound_s >= true.bound_s - ROUNDING * abs(true.bound_s):
        raise PlanError(f"selection: bound_s {selection.bound_s} is not accepted; multipliers prove {true.bound_s}")


def _check_candidates(plan: Plan, selection: Selection, view: View) -> None:
    rows, form = plan.candidates, selection.form
    if len(rows) != len(form):
        raise PlanError(f"candidates: {len(rows)} rows are not accepted; {len(form)}, one for each request, are")
    entered = np.zeros(len(view.request_id), np.int64)
    entered[plan.request] = plan.form
    bad = entered[rows] != form
    if bad.any():
        at = int(bad.argmax())
        request, own = view.request_id[rows[at]], entered[rows[at]]
        raise PlanError(f"candidates: request {request} in form {form[at]} is not accepted; the plan has it in {own}")
