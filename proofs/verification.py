"""Reports on files of results: what holds, what is proved and what is only said, and what does not hold and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aptsched.report import table
from aptsched.support import text_lines
from aptsched.support.shown import one_line
from proofs.records import Verdict
from proofs.sources import ResultFile

MOST_LISTED = 20  # most failures of a file, and most skipped files, that are printed


@dataclass
class Report:
    """The result of checking one file.

    Attributes
    ----------
    file, schema : str
    num_entries, num_holding : int
        All verdicts (on records, instances, files, requests, runs and the whole), and those that hold.
    num_optimal : int
        Entries whose certificate proves that no selection is better.
    num_said : int
        Entries with fields that rest on a method's word, such as an optimum that no certificate proves.
    worst_gap : float or None
        The largest certified gap of the entries that hold.
    notes : list of str
        Lines that say what was not checked.
    failures : list of Verdict
        The verdicts that do not hold.
    """

    file: str
    schema: str
    num_entries: int = 0
    num_holding: int = 0
    num_optimal: int = 0
    num_said: int = 0
    worst_gap: float | None = None
    notes: list[str] = field(default_factory=list)
    failures: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one more entry."""
        self.num_entries += 1
        if not verdict.holds:
            self.failures.append(verdict)
            return
        self.num_holding += 1
        self.num_optimal += verdict.optimal
        self.num_said += bool(verdict.said)
        if verdict.gap is not None:
            self.worst_gap = max(verdict.gap, self.worst_gap or 0.0)


def report(source: ResultFile, begin: Callable[[str], None]) -> Report:
    """Collect all verdicts on a file; `begin` is called before each, with a description of it."""
    found = Report(source.file, source.schema, notes=list(source.notes))
    begin(source.file)
    for verdict in _all(source.verdicts):
        found.add(verdict)
        begin(source.file)
    return found


def _all(verdicts: Iterator[Verdict]) -> Iterator[Verdict]:
    """Yield the verdicts; if the checker itself fails, a last one says that the rest of the file does not hold."""
    try:
        yield from verdicts
    except Exception as error:  # a file that breaks the checker must not pass
        yield Verdict("the rest", (f"the checker failed ({type(error).__name__}: {error!s:.200})",))


def document(reports: Sequence[Report], skipped: Sequence[str]) -> dict[str, Any]:
    """The reports as plain values."""
    return {
        "schema": "aptsched.verification",
        "version": 2,
        "holds": not any(found.failures for found in reports),
        "files": [
            vars(found)
            | {"failures": [{"record": verdict.name, "reasons": verdict.reasons} for verdict in found.failures]}
            for found in reports
        ],
        "skipped": list(skipped),
    }


def report_text(reports: Sequence[Report], skipped: Sequence[str], width: int = text_lines.WIDTH) -> list[str]:
    """The reports as lines; names may have any characters."""
    lines = [line for found in reports for line in _described(found, width)]
    for reason in skipped[:MOST_LISTED]:
        lines += _broken(f"skipped: {reason}", width, "")
    if len(skipped) > MOST_LISTED:
        lines.append(f"skipped: {len(skipped) - MOST_LISTED} more, all with --json")
    return lines


def _described(found: Report, width: int) -> Iterator[str]:
    yield f"{one_line(found.file)}: {found.num_holding} of {found.num_entries} entries hold"
    if found.worst_gap is not None:
        yield f"  certified gap: {table.gap(found.worst_gap)} at worst"
    if found.num_optimal or found.num_said:
        yield f"  optimal by certificate: {found.num_optimal}; by the word of the method: {found.num_said}"
    for note in found.notes:
        yield from _broken(note, width)
    for verdict in found.failures[:MOST_LISTED]:
        for reason in verdict.reasons:
            yield from _broken(f"{verdict.name}: {reason}", width)
    if len(found.failures) > MOST_LISTED:
        yield f"  and {len(found.failures) - MOST_LISTED} more, all with --json"


def _broken(line: str, width: int, indent: str = "  ") -> list[str]:
    return text_lines.wrapped(f"{indent}{one_line(line)}", width, f"{indent}  ")
