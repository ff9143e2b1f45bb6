"""The decisions of a run, `aptsched.certificates` version 1: a verdict on each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aptsched.errors import InputError
from proofs.certificate import check
from proofs.records import Claim, Verdict, check_names, is_optimal, multipliers_of, problem_of, shown

FIELDS = (
    *("iteration", "problem", "sha256", "form", "multipliers"),
    *("objective_s", "bound_s", "num_blocks", "num_tokens", "gap"),
)


def verdict(record: Any, after: int) -> Verdict:
    """The verdict on one record, whose iteration must be above the one before."""
    try:
        check_names("record", record, FIELDS, ("entries",))
        problem = problem_of(record["problem"])
    except InputError as error:
        return Verdict(f"after iteration {after}", (str(error),))
    fields = {name: record[name] for name in Claim.__dataclass_fields__}
    claim = Claim(**fields | {"multipliers": multipliers_of(record["multipliers"])})
    certificate = check(problem, claim, str(record["sha256"]))
    reasons = [*certificate.reasons, *_entries_against(record)]
    if type(record["iteration"]) is not int or record["iteration"] <= after:
        reasons.append(f"iteration: {shown(record['iteration'])} is not accepted; a whole number above {after} is")
    name = f"iteration {shown(record['iteration'])}"
    return Verdict(name, tuple(reasons), gap=record["gap"], optimal=is_optimal(problem, certificate))


def _entries_against(record: dict[str, Any]) -> Iterator[str]:
    """What there is against the entries of the batch, where they are listed."""
    entries, form = record.get("entries"), record["form"]
    if "entries" not in record or not isinstance(form, list):
        return
    if not isinstance(entries, list) or not all(map(_is_pair, entries)):
        yield f"entries: {shown(entries)} is not accepted; a list of [request, form] is"
    elif sorted(entries) != [[i, f] for i, f in enumerate(form) if f]:
        yield f"entries: {shown(entries)} are not the requests served, each once, in its form"


def _is_pair(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(type(number) is int for number in entry)
