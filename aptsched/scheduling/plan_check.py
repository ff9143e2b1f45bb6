"""Checks whether a plan is legal, before anything is changed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from aptsched.scheduling.forms import KV, NONE, NUM_FORMS, entry_of
from aptsched.scheduling.plan import ROWS, Plan, nothing
from aptsched.scheduling.view import View
from aptsched.support.arrays import all_of, count_of, equal, largest_of, smallest_of, sum_of
from aptsched.support.checks import Bools, Ints, is_count
from aptsched.support.errors import MOST_SHOWN, InputError
from aptsched.support.shown import shown

INT64 = np.dtype(np.int64)
NOTHING = nothing()
NO_REASONS = ()


class PlanError(InputError):
    """A plan that is not legal: the message names the field, the request, the value and what is accepted."""


def check_plan(plan: Plan, view: View) -> None:
    """Checks a plan against its view.

    Raises
    ------
    PlanError
        A row does not exist or is named twice; a request is both rejected and served, or runs without its blocks in
        the pool; a form or a number of tokens is not allowed for it; there are more tokens or sequences than an
        iteration may have; the number of reasons is not that of rejections; it holds for a number of iterations that
        is not whole, or below 0; whether it then decodes is neither True nor False.
    """
    if not isinstance(plan, Plan):
        raise PlanError(f"plan: {type(plan).__name__} is not accepted; a Plan is")
    seen = NOTHING
    for name in ROWS:
        rows = getattr(plan, name)
        if rows is NOTHING or rows is seen:
            continue
        seen = rows
        check_integers(name, rows)
        if len(rows):
            _check_rows(name, rows, view)
    if plan.convert_to is not NOTHING:
        check_integers("convert_to", plan.convert_to)
    if len(plan.swap_out) or len(plan.swap_in) or view.free_host_blocks < view.num_host_blocks:
        _check_swaps(plan, view)
    form, num_remaining = view.form, view.num_remaining
    if len(plan.preempt) or len(plan.convert) or len(plan.convert_to) or len(plan.reject):
        form, num_remaining = _before_entries(plan, view)
    _check_entries(plan, view, form, num_remaining)
    if plan.reject_reasons is not NO_REASONS:
        _check_reasons(plan)
    if not is_count(plan.holds, 0, math.inf):
        raise PlanError(f"holds: {shown(plan.holds)} is not accepted; a whole number of iterations from 0 on is")
    if not isinstance(plan.holds_until_s, float) or math.isnan(plan.holds_until_s):
        raise PlanError(f"holds_until_s: {shown(plan.holds_until_s)} is not accepted; a float, seconds, is")
    if plan.then_decodes is not True and plan.then_decodes is not False:
        raise PlanError(f"then_decodes: {shown(plan.then_decodes)} is not accepted; True or False is")


def _check_rows(name: str, rows: Ints, view: View) -> None:
    n = len(view.num_tokens)
    if 0 <= rows[0] and rows[-1] < n and all_of(rows[1:] > rows[:-1]):
        return  # mostly: they rise
    if smallest_of(rows) < 0 or largest_of(rows) >= n:
        bad = rows[(rows < 0) | (rows >= n)][0]
        raise PlanError(f"{name}: row {bad} is not accepted; rows from 0 to {n - 1} are")
    marked = np.zeros(n, np.bool_)
    marked[rows] = True
    if count_of(marked) != len(rows):
        twice = int((np.bincount(rows) > 1).argmax())
        raise PlanError(f"{name}: request {view.request_id[twice]} is there twice; each row once is accepted")


def check_integers(name: str, array: Ints) -> None:
    """Raises PlanError unless it is an int64 array with one axis."""
    if not isinstance(array, np.ndarray) or array.dtype != INT64 or array.ndim != 1:
        shown = f"{array.dtype} of shape {list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
        raise PlanError(f"{name}: {shown} is not accepted; an int64 array with one axis is")


def _check_swaps(plan: Plan, view: View) -> None:
    """Requests swapped out have blocks and do nothing else; those swapped in are on the host; none runs from there."""
    n = len(view.request_id)
    elsewhere, gone, away = np.zeros(n, np.bool_), np.zeros(n, np.bool_), view.num_swapped > 0
    elsewhere[plan.request] = elsewhere[plan.convert] = True
    elsewhere[plan.preempt] = elsewhere[plan.reject] = gone[plan.preempt] = gone[plan.reject] = True
    out, back = plan.swap_out, plan.swap_in
    _refuse(view.num_held[out] == 0, "swap_out", out, view, "holds no blocks; requests that run are accepted")
    _refuse(elsewhere[out], "swap_out", out, view, "is in another array too; others are accepted")
    _refuse(~away[back], "swap_in", back, view, "is not on the host; requests that are swapped out are accepted")
    _refuse(gone[back], "swap_in", back, view, "is given up or preempted in the same plan; others are accepted")
    away[back] = away[plan.preempt] = False
    for name in ("convert", "request"):
        rows = getattr(plan, name)
        _refuse(away[rows], name, rows, view, "is on the host; it is accepted with swap_in in the same plan")


def _before_entries(plan: Plan, view: View) -> tuple[Ints, Ints]:
    """Form and tokens to be fed of each row, [n], after the planned rejections, preemptions and conversions."""
    served = np.zeros(len(view.request_id), np.bool_)
    served[plan.request] = served[plan.convert] = True
    _refuse(served[plan.reject], "reject", plan.reject, view, "is served in the same plan; others are accepted")
    rejected = np.zeros(len(view.request_id), np.bool_)
    rejected[plan.reject] = True
    _refuse(rejected[plan.preempt], "preempt", plan.preempt, view, "is rejected in the same plan; others are accepted")
    form, num_remaining = view.form.copy(), view.num_remaining.copy()
    holds_none = form[plan.preempt] == NONE
    _refuse(holds_none, "preempt", plan.preempt, view, "holds no cache; requests that run are accepted")
    form[plan.preempt] = NONE
    num_remaining[plan.preempt] = view.num_tokens[plan.preempt]
    _check_conversions(plan, view, form[plan.convert])
    form[plan.convert] = plan.convert_to
    return form, num_remaining


def _check_conversions(plan: Plan, view: View, own: Ints) -> None:
    """Requests to be converted have a cache whose form, `own`, [c], can become the planned one."""
    target = plan.convert_to
    _check_length("convert_to", target, len(own))
    _refuse(own == NONE, "convert", plan.convert, view, "holds no cache; requests that run are accepted")
    known = (target >= 0) & (target < NUM_FORMS)
    bad = ~view.cache.conversions[own, np.where(known, target, NONE)]
    if bad.any():
        at = int(bad.argmax())
        becomes = np.flatnonzero(view.cache.conversions[own[at]]).tolist()
        accepted = f"{' or '.join(map(str, becomes)) or 'none'} is, of form {own[at]}"
        request = view.request_id[plan.convert[at]]
        raise PlanError(f"convert_to: {target[at]} of request {request} is not accepted; {accepted}")


def _refuse(bad: Bools, name: str, rows: Ints, view: View, why: str) -> None:
    if bad.any():
        raise PlanError(f"{name}: request {view.request_id[rows[bad.argmax()]]} {why}")


def _check_length(name: str, array: Ints, num_rows: int) -> None:
    check_integers(name, array)
    if len(array) != num_rows:
        raise PlanError(f"{name}: {len(array)} entries are not accepted; {num_rows}, one for each row, are")


def _check_entries(plan: Plan, view: View, form: Ints, num_remaining: Ints) -> None:
    rows = plan.request
    for name in ("num_tokens", "form"):
        _check_length(name, getattr(plan, name), len(rows))
    if not len(rows):
        return
    most = num_remaining[rows]
    if not equal(plan.num_tokens, most):
        bad = (plan.num_tokens < 1) | (plan.num_tokens > most)
        if bad.any():
            at = int(bad.argmax())
            given, request = plan.num_tokens[at], view.request_id[rows[at]]
            raise PlanError(f"num_tokens: {given} of request {request} is not accepted; 1 to {most[at]} are")
    own = form[rows]
    if not equal(plan.form, own) or np.count_nonzero(own) < len(own):
        _check_forms(plan, view, own)
    total = sum_of(plan.num_tokens)
    if total > view.max_tokens:
        raise PlanError(f"num_tokens: {total} in all is not accepted; up to {view.max_tokens} an iteration are")
    if len(rows) > view.max_seqs:
        raise PlanError(f"request: {len(rows)} entries are not accepted; up to {view.max_seqs} an iteration are")


def _check_forms(plan: Plan, view: View, own: Ints) -> None:
    """Entries whose own form, [b], is NONE by then get an offered form; the others keep their own."""
    if equal(plan.form, np.where(own == NONE, KV, own)):
        return  # mostly: KV is always offered
    offered = view.cache.is_offered.take(plan.form, mode="clip") & (plan.form >= 0) & (plan.form < NUM_FORMS)
    bad = np.where(own == NONE, ~offered, plan.form != own)
    if bad.any():
        at = int(bad.argmax())
        accepted = _accepted_forms(own[at], view.cache.offered)
        given, request = plan.form[at], view.request_id[plan.request[at]]
        raise PlanError(f"form: {given} of request {request} is not accepted; {accepted}")


def _accepted_forms(own: int, offered: Sequence[int]) -> str:
    if own != NONE:
        return f"{own}, the form it is in by then, is"
    accepted = " or ".join(f"{form} ({entry_of(form).label})" for form in offered)
    return f"{accepted} is" if len(offered) > 1 else f"{accepted} is: other forms take no less here"


def _check_reasons(plan: Plan) -> None:
    """There is one reason for each rejected row, each a text that a record can show on one line."""
    reasons, num_rejected = plan.reject_reasons, len(plan.reject)
    if not isinstance(reasons, list | tuple):
        raise PlanError(f"reject_reasons: {type(reasons).__name__} is not accepted; a list of texts is")
    if len(reasons) not in (0, num_rejected):
        accepted = f"none, or {num_rejected}, one for each row, are"
        raise PlanError(f"reject_reasons: {len(reasons)} are not accepted; {accepted}")
    for reason in reasons:
        if not isinstance(reason, str) or len(reason) > MOST_SHOWN or not reason.isprintable():
            accepted = f"a text of up to {MOST_SHOWN} characters on one line is"
            raise PlanError(f"reject_reasons: {shown(reason)} is not accepted; {accepted}")
