"""Checks the decisions of a run, `aptsched.certificates` version 1: a verdict on each, and figures of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aptsched.problem import certificate_log
from aptsched.support.errors import InputError
from aptsched.support.fields import named
from aptsched.support.json_text import parse_json
from aptsched.support.shown import shown
from proofs import reading
from proofs.certificate import check, is_finite
from proofs.records import Claim, Verdict, is_equal, is_optimal, is_whole, multipliers_of, problem_of

FIELDS = (
    *("iteration", "problem", "sha256", "form", "multipliers"),
    *("objective_s", "bound_s", "num_blocks", "num_tokens", "gap"),
)
OPTIONAL = ("num_iterations", "entries")


@dataclass(frozen=True)
class Log:
    """The figures of a log: of each decision its first iteration, how many it was for, and its gap."""

    decisions: tuple[tuple[int, int, float], ...] = ()


def figures(file: Path) -> Log:
    """The figures as a log states them, unchecked; raises InputError where a line lacks them."""
    decisions = list[tuple[int, int, float]]()
    for number, line in enumerate(reading.lines(file), 1):
        record = parse_json(reading.decoded(line))
        if number == 1:
            continue
        fields: dict[str, Any] = record if isinstance(record, dict) else {}
        if not is_finite(fields.get("gap")) or type(fields.get("iteration")) is not int:
            raise InputError(f"{file.name}, line {number}: no decision with a gap")
        count = fields.get("num_iterations", 1)
        if not is_whole(count):
            raise InputError(f"{file.name}, line {number}: no number of iterations")
        decisions.append((fields["iteration"], count, float(fields["gap"])))
    return Log(tuple(decisions))


def num_lines(file: Path) -> int:
    """The lines of a log after the header, as far as it can be read."""
    count = 0
    try:
        for _ in reading.lines(file):
            count += 1
    except InputError:
        return count
    return count - 1


def verdicts(file: Path) -> Iterator[Verdict]:
    """A verdict on each line; one that is no JSON, as where a run was cut off, does not hold."""
    iteration = number = -1
    try:
        for number, line in enumerate(reading.lines(file), 1):
            try:
                record = parse_json(reading.decoded(line))
            except InputError as error:
                yield Verdict(f"line {number}", (f"record: {str(error).removeprefix('line 1, ')}",))
                continue
            if number == 1:
                if not is_equal(record, certificate_log.HEADER):
                    yield Verdict("header", (f"header: {shown(record)} is not accepted; that of the schema is",))
                continue
            yield verdict(record, iteration)
            if isinstance(record, dict) and type(record.get("iteration")) is int:
                iteration = max(iteration, _last_of(record))
    except InputError as error:
        yield Verdict(f"after line {max(number, 0)}", (f"file: {error}",))


def verdict(record: Any, after: int) -> Verdict:
    """The verdict on one record, whose iteration must be above the one before."""
    try:
        named("record", record, FIELDS, OPTIONAL)
        problem = problem_of(record["problem"])
    except InputError as error:
        return Verdict(f"after iteration {after}", (str(error),))
    fields = {name: record[name] for name in Claim.__dataclass_fields__}
    claim = Claim(**fields | {"multipliers": multipliers_of(record["multipliers"])})
    certificate = check(problem, claim, str(record["sha256"]))
    reasons = [*certificate.reasons, *_entries_against(record)]
    if type(record["iteration"]) is not int or record["iteration"] <= after:
        reasons.append(f"iteration: {shown(record['iteration'])} is not accepted; a whole number above {after} is")
    reasons += _several_against(record)
    name = f"iteration {shown(record['iteration'])}"
    return Verdict(name, tuple(reasons), gap=record["gap"], optimal=is_optimal(problem, certificate))


def _last_of(record: dict[str, Any]) -> int:
    """The last iteration of a decision."""
    first, count = record["iteration"], record.get("num_iterations", 1)
    return int(first) + (count - 1 if is_whole(count) and count else 0)


def _several_against(record: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the number of iterations: only a decision without a gap may stand for several."""
    count = record.get("num_iterations", 1)
    if not is_whole(count) or not count:
        yield f"num_iterations: {shown(count)} is not accepted; a whole number of at least 1 is"
    elif count > 1 and is_finite(record["gap"]) and record["gap"] > certificate_log.EXACT:
        yield f"num_iterations: {count} with a gap of {record['gap']} is not accepted; 1 is"


def _entries_against(record: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the entries of the batch, where they are listed."""
    entries, form = record.get("entries"), record["form"]
    if "entries" not in record or not isinstance(form, list):
        return
    if not isinstance(entries, list) or not all(map(_is_pair, entries)):
        yield f"entries: {shown(entries)} is not accepted; a list of [request, form] is"
    elif sorted(entries) != [[i, f] for i, f in enumerate(form) if f]:
        yield f"entries: {shown(entries)} are not the requests served, each once, in its form"


def _is_pair(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(type(number) is int for number in entry)
