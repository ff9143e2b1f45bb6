"""The gap study as a person and a program read it: table, results.json, results.csv and plots.

The schema of results.json is described in docs/formats.md.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aptsched.problem import instance
from aptsched.report import plots, table
from aptsched.report.document import as_json, machine, named_file, sealed, versions
from aptsched.report.notices import merged
from aptsched.report.plots import Series
from aptsched.report.table import Column, Section
from aptsched.support import files
from solvers.study.method_runs import CALLS, LONG_S, Instance, Record, contradiction, optimum
from solvers.study.summary import Summary, summaries_by_method

SCHEMA = "aptsched.gap"
VERSION = 2
FILES = ("results.json", "results.csv", "gap.png", "time.png")
PACKAGES = ("aptsched", "numpy", "scipy", "ortools", "highspy", "pulp")
COLUMNS = (
    Column("method", left=True),
    Column("guarantee", left=True),
    Column("proved"),
    Column("mean", "gap to optimum", min_width=6),
    Column("p99", "gap to optimum", min_width=6),
    Column("worst", "gap to optimum", min_width=6),
    Column("mean", "certified gap", min_width=6),
    Column("worst", "certified gap", min_width=6),
    Column("median", "time", min_width=6),
    Column("p99", "time", min_width=6),
)


def document(
    instances: Iterable[Instance],
    results: Sequence[tuple[Record, ...]],
    options: dict[str, Any],
    num_planned: int,
    notices: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of results.json, enough to check each certificate later; `results` has each instance's records.

    `write` adds the names of the files that it writes beside it.
    """
    records = [record for of_instance in results for record in of_instance]
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "options": options,
        "versions": versions(PACKAGES),
        "machine": machine(),
        "num_planned": num_planned,
        "complete": len(results) == num_planned,
        "notices": list(merged(notices)),
        "contradictions": [found for of_instance in results if (found := contradiction(of_instance))],
        "summary": [vars(summary) for summary in summaries_by_method(records)],
        "instances": [
            {
                "id": given.id,
                "load": given.load,
                "optimum_s": optimum(of_instance),
                "sha256": of_instance[0].sha256,
                "problem": instance.content(given.problem),
            }
            for given, of_instance in zip(instances, results, strict=True)
        ],
        "records": [as_dict(record) for record in records],
        "files": [],
    }


def as_dict(record: Record) -> dict[str, Any]:
    """The record as plain values."""
    return {**vars(record), "multipliers": record.multipliers and vars(record.multipliers)}


FIELDS = tuple(name for name in Record.__dataclass_fields__ if name not in ("form", "multipliers", "overload"))
PRICES = ("per_block_s", "per_token_s", "per_seq_s")


def row(record: Record) -> dict[str, Any]:
    """A row of results.csv: the record without its selection."""
    values = {name: getattr(record, name) for name in FIELDS}
    return values | {name: getattr(record.multipliers, name, None) for name in PRICES}


def as_csv(records: Sequence[Record]) -> str:
    """A row for each instance and method, after the names of the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*FIELDS, *PRICES))
    writer.writerows(row(record).values() for record in records)
    return text.getvalue()


def write(directory: Path, document: dict[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """Write results.csv, gap.png, time.png, and last results.json, each atomically.

    Returns
    -------
    dict
        The content of results.json: the document with the files that belong to it, and its digest.

    Raises
    ------
    InputError
        A file cannot be written, or matplotlib is not installed.
    """
    files.write(directory / "results.csv", as_csv(records))
    gaps = plots.gap_over_size(_series(records, "optimum_gap", np.mean), _series(records, "certified_gap", np.mean))
    files.write(directory / "gap.png", gaps)
    files.write(directory / "time.png", plots.time_over_size(_series(records, "seconds", np.median)))
    written = sealed({**document, "files": [named_file(directory, "results.csv")]})
    files.write(directory / "results.json", as_json(written))
    return written


def sections(summaries: Iterable[Summary]) -> list[Section]:
    """The rows of the table, a section for each size and load."""
    groups: dict[str, list[list[str]]] = {}
    for summary in summaries:
        size = "all sizes" if summary.num_requests is None else f"n = {summary.num_requests}"
        load = "all loads" if summary.load is None else f"load {summary.load:g}"
        plural = "s" if summary.num_instances > 1 else ""
        title = f"{size}, {load}: {summary.num_instances} instance{plural}"
        groups.setdefault(title, []).append(_row(summary))
    return [Section(title, rows) for title, rows in groups.items()]


def notes(summaries: Sequence[Summary], notices: Sequence[str] = ()) -> list[str]:
    """Lines below the table that explain it; `notices` are those of the document."""
    lines = [
        "n: requests in the queue. load: free blocks over what the queue needs. proved: share of the instances on "
        "which the method proved its answer optimal. exact: the optimum, where proved.",
        "Gaps are shares of the optimum; the certified one is what the multipliers prove. time: over the instances, of "
        f"the fastest of {CALLS} calls on each, or fewer where one took more than {LONG_S:g} s.",
    ]
    widest: dict[str, Summary] = {}
    for summary in summaries:  # the last summary of a method is over all of its instances
        widest[summary.method] = summary
    for summary in widest.values():
        if summary.num_exceeding:
            lines.append(
                f"{summary.method}: {summary.num_exceeding} of {summary.num_instances} answers break a limit; "
                "its gaps are over the others."
            )
    known = max((s.num_with_optimum + s.num_exceeding for s in widest.values()), default=0)
    total = max((s.num_instances for s in widest.values()), default=0)
    if known == 0 < total:
        lines.append("No gap to the optimum is known, for no method proved an optimum.")
    elif known < total:
        lines.append(f"The gap to the optimum is over {known} of {total} instances: of the others no method proved it.")
    return [*lines, *notices]


def _row(summary: Summary) -> list[str]:
    gaps = (
        summary.optimum_gap_mean,
        summary.optimum_gap_p99,
        summary.optimum_gap_worst,
        summary.certified_gap_mean,
        summary.certified_gap_worst,
    )
    times = (summary.seconds_median, summary.seconds_p99)
    promise = [summary.method, summary.guarantee, table.percent(summary.proved)]
    return promise + [table.gap(value) for value in gaps] + [table.duration(value) for value in times]


def _series(records: Sequence[Record], field: str, middle: Callable[[list[float]], np.floating[Any]]) -> list[Series]:
    """A plotted line for each method: the middle (such as the median) of its values over the number of requests."""
    lines = []
    for method in dict.fromkeys(record.method for record in records):
        by_size: dict[int, list[float]] = {}
        for record in records:
            value = getattr(record, field)
            if record.method == method and value is not None:
                by_size.setdefault(record.num_requests, []).append(value)
        sizes = sorted(by_size)
        lines.append(Series(method, sizes, [float(middle(by_size[n])) for n in sizes]))
    return lines
