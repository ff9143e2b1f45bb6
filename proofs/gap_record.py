"""Checks a record of the gap study, `aptsched.gap` version 2: a verdict on all its claims."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.errors import InputError
from aptsched.support.fields import named
from aptsched.support.shown import shown
from proofs.certificate import Certificate, check, is_finite
from proofs.records import Claim, Verdict, is_equal, is_optimal, multipliers_of

CALL = ("instance", "num_requests", "load", "method", "guarantee", "sha256", "status", "seconds")
ANSWER = (
    *("objective_s", "bound_s", "certified_bound_s", "certified_gap", "optimum_gap"),
    *("num_blocks", "num_tokens", "num_seqs", "form", "multipliers"),
)
RECORD = (*CALL, *ANSWER, "overload", "num_calls", "median_call_s")
STATUSES = ("optimal", "feasible", "infeasible", "exceeds")
AGREEMENT = 1e-9  # relative to what is added up: by how much an answer called optimal may be below the optimum


@dataclass(frozen=True)
class Known:
    """The instance of a record, and what its other records show.

    Attributes
    ----------
    id : str
        As in the file.
    problem : BatchProblem
    sha256 : str
        Digest of the problem.
    load, optimum_s : float or None
        As in the file.
    best_s : float
        The largest objective among the instance's records whose certificates hold; -inf where there is none.
    optimal : bool
        Whether one of these certificates proves that `best_s` is the optimum.
    """

    id: Any
    problem: BatchProblem
    sha256: str
    load: Any
    optimum_s: Any
    best_s: float
    optimal: bool


def certificate_of(problem: BatchProblem, record: Any) -> Certificate | None:
    """The check of a record's selection; None where it has none, or its fields are not those of a record."""
    if not isinstance(record, dict) or set(record) != set(RECORD) or record["form"] is None:
        return None
    renamed = {"bound_s": "certified_bound_s", "gap": "certified_gap"}
    fields = {name: record[renamed.get(name, name)] for name in Claim.__dataclass_fields__}
    claim = Claim(**fields | {"multipliers": multipliers_of(record["multipliers"])})
    return check(problem, claim, exceeds=record["status"] == "exceeds")


def verdict(known: Known, record: Any, certificate: Certificate | None) -> Verdict:
    """The verdict on one record, with its `certificate_of`."""
    try:
        named("record", record, RECORD)
    except InputError as error:
        return Verdict(name_of(record), (str(error),))
    reasons = list(_call_against(known, record))
    if record["status"] == "infeasible":
        reasons += _overload_against(known.problem, record)
    elif certificate is None:
        reasons.append("form: null is accepted only where the status is infeasible")
    else:
        reasons += (f"certified_{why}" if why.startswith(("bound_s", "gap")) else why for why in certificate.reasons)
    if reasons or certificate is None:
        return Verdict(name_of(record), tuple(reasons))
    optimal = record["status"] != "exceeds" and is_optimal(known.problem, certificate)
    said = tuple(_said(known, record, certificate, optimal))
    return Verdict(name_of(record), tuple(_answer_against(known, record)), said, record["certified_gap"], optimal)


def name_of(record: object) -> str:
    """The name of a record in messages: method and instance."""
    return (
        f"{record.get('method')} on {record.get('instance')}" if isinstance(record, dict) else f"record {shown(record)}"
    )


def optimum_gap(optimum_s: float, objective_s: float) -> float:
    """(optimum - objective) / max(|optimum|, |objective|), at least 0."""
    return max(0.0, optimum_s - objective_s) / (max(abs(optimum_s), abs(objective_s)) or 1.0)


def smallest_overload(problem: BatchProblem) -> list[int]:
    """By how many blocks, tokens and sequences the required requests, in their lightest forms, exceed the limits."""
    if problem.required is None:
        return [0, 0, 0]
    tokens = 0 if problem.num_tokens is None else int(problem.num_tokens[problem.required].sum())
    use = (int(problem.weights[problem.required].min(axis=1).sum()), tokens, int(problem.required.sum()))
    limits = (problem.capacity, problem.max_tokens, problem.max_seqs)
    return [0 if limit is None else max(0, used - limit) for used, limit in zip(use, limits, strict=True)]


def _call_against(known: Known, record: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the fields that say which method was called, and on which instance."""
    facts = {
        "instance": known.id,
        "num_requests": known.problem.num_requests,
        "load": known.load,
        "sha256": known.sha256,
    }
    for name, fact in facts.items():
        if not is_equal(record[name], fact):
            yield f"{name}: {shown(record[name])}, but that of the instance is {fact!r}"
    num_limits = 1 + (known.problem.max_tokens is not None) + (known.problem.max_seqs is not None)
    accepted = {"guarantee": (f"1/{num_limits + 1}", "exact", "bound", "none"), "status": STATUSES}
    for name, texts in accepted.items():
        if record[name] not in texts:
            yield f"{name}: {shown(record[name])} is not accepted; {', '.join(texts)} are"
    if type(record["method"]) is not str:
        yield f"method: {shown(record['method'])} is not accepted; a name is"
    fastest_s, num_calls, median_s = record["seconds"], record["num_calls"], record["median_call_s"]
    if not is_finite(fastest_s) or fastest_s < 0:
        yield f"seconds: {shown(fastest_s)} is not accepted; a number of at least 0 is"
    elif num_calls == 1 and median_s is not None:
        yield f"median_call_s: {shown(median_s)} is not accepted of one call; null is"
    elif num_calls != 1 and (not is_finite(median_s) or median_s < fastest_s):
        yield f"median_call_s: {shown(median_s)} is not accepted; a number of at least seconds, {fastest_s!r}, is"
    if type(num_calls) is not int or num_calls < 1:
        yield f"num_calls: {shown(num_calls)} is not accepted; a whole number of at least 1 is"


def _overload_against(problem: BatchProblem, record: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the answer that the required requests do not fit."""
    fact = smallest_overload(problem)
    if not any(fact):
        yield "status: infeasible, but the required requests fit"
    given = record["overload"]
    if given is not None and not (isinstance(given, list) and given == fact and all(type(g) is int for g in given)):
        yield f"overload: {shown(given)}, but the smallest is {fact}"
    for name in ANSWER:
        if record[name] is not None:
            yield f"{name}: {shown(record[name])} is not accepted where the status is infeasible; null is"


def _answer_against(known: Known, record: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the fields about the selection, given that its certificate holds."""
    exceeds, objective_s, bound_s = record["status"] == "exceeds", record["objective_s"], record["bound_s"]
    facts: dict[str, float | None] = {"num_seqs": int(np.count_nonzero(record["form"]))}
    facts |= {"overload": None, "optimum_gap": None}
    if exceeds:
        facts["certified_gap"] = None
    elif is_finite(known.optimum_s):
        facts["optimum_gap"] = optimum_gap(known.optimum_s, objective_s)
    for name, fact in facts.items():
        if not is_equal(record[name], fact):
            yield f"{name}: {shown(record[name])}, but it is {fact!r}"
    if not is_finite(bound_s) or not known.best_s <= bound_s <= record["certified_bound_s"]:
        yield (
            f"bound_s: {shown(bound_s)} is not from {known.best_s!r}, which a selection reaches, "
            f"to {record['certified_bound_s']!r}, which the multipliers prove"
        )
    elif record["status"] == "optimal":
        chosen = [known.problem.values[i, f - 1].item() for i, f in enumerate(record["form"]) if f]
        if bound_s - objective_s > AGREEMENT * (math.fsum(map(abs, chosen)) + abs(record["certified_bound_s"])):
            yield f"status: optimal, but bound_s is {bound_s!r} and objective_s {objective_s!r}"


def _said(known: Known, record: dict[str, Any], certificate: Certificate, optimal: bool) -> Iterator[str]:
    """Yield the names of the fields that no certificate proves."""
    assert certificate.bound is not None and certificate.objective is not None
    proved = certificate.objective if optimal else certificate.bound
    if is_finite(record["bound_s"]) and record["bound_s"] < proved:
        yield "bound_s"
    if record["status"] == "optimal" and not optimal:
        yield "status"
    if record["optimum_gap"] is not None and not known.optimal:
        yield "optimum_gap"
