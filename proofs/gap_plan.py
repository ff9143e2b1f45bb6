"""Checks whether the instances of a gap study are those that its options ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aptsched.support.shown import shown
from solvers.study.backlog import id_of

ASKED = ("num_requests", "load", "instances")


def against(document: dict[str, Any]) -> Iterator[str]:
    """Yield the reasons why `num_planned` and the instances are not what the options ask for, where these say it."""
    options = document["options"]
    if not isinstance(options, dict):
        yield f"options: {shown(options)} is not accepted; an object is"
        return
    if not set(ASKED) <= set(options):
        return
    try:
        sizes, loads = _numbers(options["num_requests"], int), _numbers(options["load"], float)
        each = range(options["instances"])
        count = len(sizes) * len(loads) * len(each)
    except (TypeError, ValueError, AttributeError, OverflowError):
        yield f"options: {', '.join(f'{name} {shown(options[name])}' for name in ASKED)} ask for nothing"
        return
    if document["num_planned"] != count:
        yield f"num_planned: {document['num_planned']}, but the options ask for {count} instances"
        return
    name = options.get("workload") or "trace"
    planned = ((n, load, j) for n in sizes for load in loads for j in each)
    for entry, (n, load, j) in zip(document["instances"], planned, strict=False):
        found, fact = (len(entry["problem"]["values"]), entry["load"]), id_of(name, n, load, j)
        if found != (n, load) or entry["id"] != fact:
            yield f"instances: {shown(entry['id'])} has {found}, but {fact!r} is next"
            return


def _numbers(given: Any, kind: Any) -> list[Any]:
    """The values of an option that takes several, as the command reads them: each once."""
    return list(dict.fromkeys(kind(part) for text in given for part in text.split(",") if part.strip()))
