"""Checks results of a serving study, `aptsched.run` version 3: a verdict on each file, request, run, and the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aptsched.metrics.request_rows import rows
from aptsched.support.errors import InputError
from aptsched.support.fields import named
from aptsched.support.shown import shown
from proofs import belongings, iterations, reading, run_summary, run_whole
from proofs.certificate import is_finite
from proofs.records import RESTS, Verdict
from proofs.run_requests import Row, row_against

DOCUMENT = (
    *("schema", "version", "options", "versions", "machine", "model", "cache", "times", "complete", "notices"),
    *("replays", "summary", "by_tenant", "holds", "rejected", "failed", "timelines", "phases", "files", "sha256"),
)
LISTS = ("notices", "replays", "summary", "by_tenant", "holds", "rejected", "failed", "timelines", "phases", "files")
CHECKED = (
    *("schema", "version", "complete", "replays", "summary", "by_tenant", "holds", "rejected", "failed"),
    *("files", "sha256"),
)
REQUESTS = "requests.csv"
Run = tuple[str, float | None]  # policy and rate


@dataclass
class Served:
    """The rows of requests.csv by run, in order, without those that cannot be true."""

    runs: dict[Run, list[Row]] = field(default_factory=dict)
    broken: set[Run] = field(default_factory=set)
    whole: bool = True  # whether no row of the file is left out


def check(document: dict[str, Any]) -> None:
    """Raise InputError unless the document has its fields."""
    named("document", document, DOCUMENT, tuple(document))
    for name in LISTS:
        if not isinstance(document[name], list):
            raise InputError(f"{name}: {shown(document[name])} is not accepted; a list is")


def verdicts(document: dict[str, Any], directory: Path) -> Iterator[Verdict]:
    """A verdict on each file that it names, each row of requests.csv, each run, and the common fields."""
    yield from belongings.verdicts(document, directory)
    served = Served()
    yield from _of_requests(document, directory, served)
    sound = True
    for summary in document["summary"]:
        found = _of_run(document, summary, directory, served)
        sound &= found.holds
        yield found
    yield Verdict("the whole", tuple(_whole_against(document, served, sound)))


def as_said(document: dict[str, Any]) -> list[str]:
    """The fields that nothing in the files confirms: they may be false, and nobody could tell."""
    fields = [name for name in document if name not in CHECKED]
    summaries = [summary for summary in document["summary"] if isinstance(summary, dict)]
    unknown = dict.fromkeys(name for summary in summaries for name in run_summary.as_said(summary))
    gaps = ["num_certified", "gap_mean", "gap_worst"] if _none_written(document) else []
    of_replays = [name for name in run_whole.REPLAY_AS_SAID if any(name in r for r in _objects(document["replays"]))]
    fields += ["failed.reason"] if document["failed"] else []
    return [*fields, *(f"summary.{name}" for name in [*unknown, *gaps]), *(f"replays.{name}" for name in of_replays)]


def notes(document: dict[str, Any]) -> Iterator[str]:
    """Yield a note on files that were not written on purpose."""
    if _none_written(document):
        yield "no certificates were written, as its options say: what they came to is as said"


def run_of(entry: object) -> Run | None:
    """The policy and the rate of an entry; None where it lacks them."""
    if not isinstance(entry, dict) or not isinstance(entry.get("policy"), str):
        return None
    rate = entry.get("rate_per_s")
    return (entry["policy"], rate) if "rate_per_s" in entry and (rate is None or is_finite(rate)) else None


def _of_requests(document: dict[str, Any], directory: Path, served: Served) -> Iterator[Verdict]:
    if REQUESTS not in [entry["file"] for entry in belongings.file_entries(document)]:
        served.whole = False
        yield Verdict("files", (f"file: {REQUESTS} is not among them, without which nothing of the runs is shown",))
        return
    try:
        text = reading.text(directory / REQUESTS)
    except InputError as error:
        served.whole = False
        yield Verdict(REQUESTS, (str(error),))
        return
    last: Run | None = None
    for number, row in rows(text):
        if isinstance(row, InputError):
            served.whole = False
            yield Verdict(f"{REQUESTS}, line {number}", (str(row),))
            continue
        run = (row["policy"], row["rate_per_s"])
        reasons = [] if run == last or run not in served.runs else ["policy: its rows do not stand together"]
        of_run = served.runs.setdefault(run, [])
        reasons += row_against(row, of_run[-1] if of_run else None)
        of_run.append(row)
        last = run
        if reasons:
            served.broken.add(run)
        yield Verdict(f"{REQUESTS}, line {number}", tuple(reasons))


def _of_run(document: dict[str, Any], summary: Any, directory: Path, served: Served) -> Verdict:
    run = run_of(summary)
    if run is None:
        return Verdict("run", (f"policy, rate_per_s: {shown(summary)} is not accepted; the summary of a run is",))
    rate = "" if run[1] is None else f" at {run[1]!r} requests a second"
    name = f"{run[0]}{rate}"
    try:
        return Verdict(name, tuple(_run_against(document, summary, run, directory, served)))
    except InputError as error:
        return Verdict(name, (str(error),))


def _run_against(
    document: dict[str, Any], summary: dict[str, Any], run: Run, directory: Path, served: Served
) -> Iterator[str]:
    if not served.whole or run in served.broken or run not in served.runs:
        yield f"requests: {REQUESTS} does not have them, or not all of them are as they can be"
        return
    log = None if _none_written(document) else _log_of(document, run, directory)
    cache = document["cache"]
    num_blocks = cache.get("num_blocks") if isinstance(cache, dict) else None
    yield from run_summary.against(summary, served.runs[run], log, num_blocks)


def _log_of(document: dict[str, Any], run: Run, directory: Path) -> iterations.Log:
    """The log of a run, an empty one where none is named; raises InputError."""
    logs = [entry["file"] for entry in belongings.file_entries(document) if run_of(entry) == run]
    if len(logs) > 1:
        raise InputError(f"files: {', '.join(logs)} are all the log of the run; one is accepted")
    return iterations.figures(directory / logs[0]) if logs else iterations.Log()


def _none_written(document: dict[str, Any]) -> bool:
    options = document["options"]
    return isinstance(options, dict) and options.get("certificates") == "none"


def _whole_against(document: dict[str, Any], served: Served, sound: bool) -> Iterator[str]:
    """Yield what is wrong with the fields about all runs."""
    yield from belongings.seal_against(document)
    runs = [run_of(summary) for summary in document["summary"]]
    if not runs or len(set(runs)) < len(runs):
        yield "summary: no run, or one that is there twice"
    for entry in belongings.file_entries(document):
        if "policy" in entry and run_of(entry) not in runs:
            yield f"files: {entry['file']} is the log of no run in summary"
        elif "policy" in entry and _none_written(document):
            yield f"files: {entry['file']} is a log, but by options.certificates none is written"
    if served.whole and list(served.runs) != runs:
        yield f"summary: its runs are not those of {REQUESTS}, in the same order"
    if not sound or not served.whole:
        yield RESTS
        return
    try:
        yield from run_whole.against(document, served.runs)
    except InputError as error:
        yield str(error)


def _objects(given: list[Any]) -> list[dict[str, Any]]:
    return [entry for entry in given if isinstance(entry, dict)]
