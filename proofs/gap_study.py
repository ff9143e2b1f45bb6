"""Checks results of the gap study, `aptsched.gap` version 2: a verdict on each record, each instance and the whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.instance import digest
from aptsched.support.errors import InputError
from aptsched.support.fields import named
from aptsched.support.shown import shown
from aptsched.workload.snapshot import free_blocks
from proofs import belongings, gap_plan, reading
from proofs.certificate import is_finite
from proofs.gap_record import Known, certificate_of, name_of, verdict
from proofs.records import RESTS, Verdict, is_equal, is_optimal, problem_of

DOCUMENT = (
    *("schema", "version", "options", "versions", "machine", "num_planned", "complete"),
    *("notices", "contradictions", "summary", "instances", "records", "files", "sha256"),
)
INSTANCE = ("id", "load", "optimum_s", "sha256", "problem")
LISTS = ("notices", "instances", "records", "files")
TABLE = "results.csv"
TIMES = ("records.seconds", "records.num_calls", "records.median_call_s")
AS_SAID = ("options", "versions", "machine", "notices", "records.method", "records.guarantee", *TIMES)
ROUNDING = 1e-9  # relative: means differ in the last digits from one machine to another


def check(document: dict[str, Any]) -> None:
    """Raise InputError unless the document has its fields."""
    named("document", document, DOCUMENT)
    for name in LISTS:
        if not isinstance(document[name], list):
            raise InputError(f"{name}: {shown(document[name])} is not accepted; a list is")


def verdicts(document: dict[str, Any], directory: Path) -> Iterator[Verdict]:
    """A verdict on each instance and its records, on records of no instance, on files, and on the common fields."""
    records: dict[str, list[Any]] = {}
    for record in document["records"]:
        records.setdefault(_text(record, "instance"), []).append(record)
    sound = True
    for entry in document["instances"]:
        for found in _of_instance(entry, records.pop(_text(entry, "id"), [])):
            sound &= found.holds
            yield found
    for name, orphans in records.items():
        sound = False
        for record in orphans:
            yield Verdict(name_of(record), (f"instance: {name!r} is none of the instances",))
    yield from belongings.verdicts(document, directory)
    reasons = [*belongings.seal_against(document), *(_whole_against(document, directory) if sound else [RESTS])]
    yield Verdict("the whole", tuple(reasons))


def _text(given: object, name: str) -> str:
    return str(given.get(name)) if isinstance(given, dict) else ""


def _of_instance(entry: Any, records: list[Any]) -> Iterator[Verdict]:
    name = f"instance {_text(entry, 'id')}"
    try:
        named("instance", entry, INSTANCE)
        problem = problem_of(entry["problem"])
    except InputError as error:
        yield Verdict(name, (str(error),))
        yield from (Verdict(name_of(record), ("instance: it does not hold itself",)) for record in records)
        return
    certificates = [certificate_of(problem, record) for record in records]
    feasible = [
        (record["objective_s"], is_optimal(problem, certificate))
        for record, certificate in zip(records, certificates, strict=True)
        if certificate is not None and certificate.holds and record["status"] != "exceeds"
    ]
    best_s = max((objective_s for objective_s, _ in feasible), default=-math.inf)
    optimal = any(proved for _, proved in feasible)
    known = Known(entry["id"], problem, digest(problem), entry["load"], entry["optimum_s"], best_s, optimal)
    yield Verdict(name, tuple(_instance_against(known, entry, records)))
    for record, certificate in zip(records, certificates, strict=True):
        yield verdict(known, record, certificate)


def _instance_against(known: Known, entry: dict[str, Any], records: list[Any]) -> Iterator[str]:
    if type(entry["id"]) is not str or not records:
        yield f"id: {shown(entry['id'])} is not accepted; a string is, of which there are records, given once"
    if entry["sha256"] != known.sha256:
        yield f"sha256: {shown(entry['sha256'])} is not the digest of the problem"
    if entry["load"] is not None:
        yield from _load_against(entry["load"], known.problem)
    proved = [record.get("objective_s") for record in records if _text(record, "status") == "optimal"]
    optimum_s = max(filter(is_finite, proved), default=None)
    if not is_equal(entry["optimum_s"], optimum_s):
        yield f"optimum_s: {shown(entry['optimum_s'])}, but the best objective called optimal is {optimum_s!r}"
    methods = [_text(record, "method") for record in records]
    yield from (f"method: {name} has several records" for name in sorted(set(methods)) if methods.count(name) > 1)


def _load_against(load: Any, problem: BatchProblem) -> Iterator[str]:
    """Yield what is wrong with a load: free blocks over the blocks that the queue needs with a KV cache, form 1."""
    if not is_finite(load) or load <= 0:
        yield f"load: {shown(load)} is not accepted; a number above 0 is, or null"
    elif problem.capacity != free_blocks(float(load), num_needed := int(problem.weights[:, 0].sum())):
        yield f"load: {load!r}, but {problem.capacity} blocks are free, and the queue needs {num_needed}"


def _whole_against(document: dict[str, Any], directory: Path) -> Iterator[str]:
    """Yield what is wrong with the fields about all records, given that each record holds."""
    from aptsched.problem.selection import Multipliers
    from solvers.study.gap_files import as_csv
    from solvers.study.method_runs import Record, contradiction
    from solvers.study.summary import summaries_by_method

    num_planned, num_done = document["num_planned"], len(document["instances"])
    if type(num_planned) is not int or num_planned < num_done:
        yield f"num_planned: {shown(num_planned)} is not accepted; a whole number of at least {num_done} is"
    if not is_equal(document["complete"], num_planned == num_done):
        yield f"complete: {shown(document['complete'])}, but {num_done} of {shown(num_planned)} instances are there"
    records = [
        Record(**record | {"multipliers": record["multipliers"] and Multipliers(**record["multipliers"])})
        for record in document["records"]
    ]
    by_instance: dict[str, list[Record]] = {}
    for record in records:
        by_instance.setdefault(record.instance, []).append(record)
    if len({tuple(record.method for record in group) for group in by_instance.values()}) > 1:
        yield "records: the methods are not the same for each instance"
    contradictions = [found for group in by_instance.values() if (found := contradiction(group))]
    if document["contradictions"] != contradictions:
        yield f"contradictions: {shown(document['contradictions'])}, but they are {contradictions}"
    if not _is_close(document["summary"], [vars(summary) for summary in summaries_by_method(records)]):
        yield "summary: it does not follow from the records"
    yield from gap_plan.against(document)
    if directory / TABLE in belongings.names(document, directory):
        try:
            if reading.text(directory / TABLE) != as_csv(records):
                yield f"{TABLE}: it does not follow from the records"
        except InputError as error:
            yield f"{TABLE}: {error}"


def _is_close(given: Any, fact: Any) -> bool:
    """Whether plain values are equal, numbers up to rounding."""
    if isinstance(fact, list):
        return isinstance(given, list) and len(given) == len(fact) and all(map(_is_close, given, fact))
    if isinstance(fact, dict):
        return isinstance(given, dict) and set(given) == set(fact) and all(_is_close(given[n], fact[n]) for n in fact)
    if is_finite(fact):
        return is_finite(given) and math.isclose(given, fact, rel_tol=ROUNDING)
    return is_equal(given, fact)
