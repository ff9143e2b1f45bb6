"""Checks results of a search for the highest rates that hold, `aptsched.capacity` version 1: rates anew from probes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from aptsched.metrics.interval import interval
from aptsched.metrics.rate_search import Probe, bracket, crossing_rate
from aptsched.report.document import digest, known
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from proofs.certificate import is_finite
from proofs.records import Verdict

LISTS = ("capacities", "comparisons", "probes")
CASE = ("policy", "setting", "slo")
PILOTS = 5  # seeds by which the number of seeds is decided, where none is given
AS_SAID = (
    "what each run came to",
    "bounds",
    "stable",
    "latencies, shares and tokens beside the rates",
    "replicas",
    "failed",
)
Searched = dict[tuple[str, str, str], dict[int, list[Probe]]]  # by policy, setting and objectives, then by seed


def check(document: dict[str, Any]) -> None:
    """Raise InputError unless the document has its lists, and each probe and row says what it is of."""
    if not isinstance(document.get("options"), dict):
        raise InputError(f"options: {shown(document.get('options'))} is not accepted; an object is")
    for name in LISTS:
        rows = document.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{name}: {shown(rows)} is not accepted; a list of objects is")
        for row in rows:
            if not all(isinstance(row.get(field), str) for field in CASE):
                raise InputError(f"{name}: {shown(row)} is not accepted; policy, setting and slo are needed")
    for row in (*document["capacities"], *document["comparisons"]):
        if not is_finite(row.get("level")):
            raise InputError(f"level: {shown(row.get('level'))} is not accepted; a number is")
    _searched(document["probes"])


def verdicts(document: dict[str, Any]) -> Iterator[Verdict]:
    """A verdict on each rate, on each ratio, and on the digest."""
    searched = _searched(document["probes"])
    seeds = document["options"].get("seeds")
    num_pilots = seeds if type(seeds) is int and seeds > 0 else PILOTS
    for row in document["capacities"]:
        yield Verdict(_name(row), tuple(_differences(row, _found(row, searched, num_pilots))))
    for row in document["comparisons"]:
        yield Verdict(f"{_name(row)}, the ratio", tuple(_differences(row, _compared(row, searched, num_pilots))))
    stated = document.get("sha256")
    yield Verdict("the whole", () if stated == digest(document) else (f"sha256: {shown(stated)} is not its digest",))


def _searched(rows: Sequence[dict[str, Any]]) -> Searched:
    """The probes; raises InputError where one is none."""
    found: Searched = defaultdict(lambda: defaultdict(list))
    for row in rows:
        rate: Any = row.get("rate_per_s")
        attained, number = row.get("attained"), row.get("number")
        sound = is_finite(rate) and rate > 0 and (attained is None or is_finite(attained))
        if not sound or type(number) is not int or not isinstance(row.get("stable"), bool):
            raise InputError(f"probes: {shown(row)} is not accepted; a rate, a share, a seed's number and stable are")
        found[row["policy"], row["setting"], row["slo"]][number].append(Probe(rate, attained, row["stable"]))
    return found


def _rates(case: tuple[str, str, str], level: float, searched: Searched) -> list[float]:
    """The rate that each seed's requests hold, by the numbers of the seeds."""
    of_seeds = searched.get(case, {})
    return [crossing_rate(of_seeds[number], level) for number in sorted(of_seeds)]


def _found(row: dict[str, Any], searched: Searched, num_pilots: int) -> dict[str, Any]:
    """What the probes say of a rate."""
    case = row["policy"], row["setting"], row["slo"]
    rates = _rates(case, row["level"], searched)
    if not rates:
        return {"rates_per_s": []}
    at_least = any(bracket(probes, row["level"])[1] is None for probes in searched[case].values())
    mean = interval(rates, num_pilots)
    low, high = (math.nan, math.nan) if at_least else (mean.low, mean.high)
    bound: Any = row.get("bound_per_s")
    share = {} if not is_finite(bound) or bound <= 0 else {"share_of_bound": known(mean.mean / bound)}
    ends = {"rate_per_s": known(mean.mean), "low": known(low), "high": known(high)}
    return {**ends, "at_least": at_least, "rates_per_s": [known(rate) for rate in rates], **share}


def _compared(row: dict[str, Any], searched: Searched, num_pilots: int) -> dict[str, Any]:
    """What the probes say of a ratio."""
    own = _rates((row["policy"], row["setting"], row["slo"]), row["level"], searched)
    others = _rates((str(row.get("over")), row["setting"], row["slo"]), row["level"], searched)
    if not own or len(own) != len(others):
        return {"ratio": "of no pairs of seeds"}
    ratio = interval([rate / other for rate, other in zip(own, others, strict=True)], num_pilots)
    return {"ratio": known(ratio.mean), "low": known(ratio.low), "high": known(ratio.high)}


def _differences(row: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """A sentence for each field that is not what the probes say."""
    for name, value in found.items():
        if row.get(name) != value:
            yield f"{name}: {shown(row.get(name))} is not what the probes come to, {shown(value)}"


def _name(row: dict[str, Any]) -> str:
    return f"{row['policy']}, {row['setting']}, {row['slo']}, {row['level']:g}"
