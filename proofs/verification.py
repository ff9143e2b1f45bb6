"""Files of results, whoever wrote them: the certificate of each record checked in exact arithmetic.

The schemas are described in docs/formats.md. A reader of a further schema is one entry in `READERS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aptsched import certificate_log, files
from aptsched.errors import InputError
from aptsched.json_text import parse_json
from aptsched.report import table
from proofs import gap_study, iterations
from proofs.records import Verdict, check_names, shown

SUFFIXES = (".json", ".jsonl")
MOST_SHOWN = 20  # failures of a file


@dataclass(frozen=True)
class Source:
    """A file of results: how many verdicts there will be, and the verdicts, each found when it is asked for."""

    file: str
    schema: str
    num_verdicts: int
    verdicts: Iterator[Verdict]


@dataclass
class Report:
    """What was found of one file.

    Attributes
    ----------
    file, schema : str
    num_entries, num_holding : int
        Records, and what is said of each instance and of the whole.
    num_optimal : int
        Those whose certificate proves that no selection is better.
    num_said : int
        Those with fields that a method vouches for, such as an optimum that no certificate proves.
    worst_gap : float or None
        The largest certified gap of those that hold.
    failures : list of Verdict
        Those that do not hold.
    """

    file: str
    schema: str
    num_entries: int = 0
    num_holding: int = 0
    num_optimal: int = 0
    num_said: int = 0
    worst_gap: float | None = None
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


def find(path: str | os.PathLike[str]) -> tuple[list[Source], list[str]]:
    """The results in a file, or in the files of a directory at any depth, and why other files there were skipped.

    Raises
    ------
    InputError
        There are none, or the file cannot be read or has none.
    """
    given = Path(path)
    if not given.is_dir():
        return [read(given)], []
    sources, skipped = [], []
    for file in sorted(file for file in given.rglob("*") if file.suffix in SUFFIXES and file.is_file()):
        try:
            sources.append(read(file))
        except InputError as error:
            skipped.append(str(error))
    if not sources:
        raise InputError(f"{given}: no results are in it; files of {', '.join(READERS)} are accepted")
    return sources, skipped


def read(file: Path) -> Source:
    """The results in a file; raises InputError where it has none."""
    if file.exists() and not file.is_file():
        raise InputError(f"{file}: a pipe or a device is not accepted; a file or a directory is")
    try:
        document = _header(file) or parse_json(files.read_text(file))
        schema = document.get("schema") if isinstance(document, dict) else None
        if not isinstance(document, dict) or schema not in READERS:
            raise InputError(f"schema: {shown(schema)} is not accepted; {', '.join(READERS)} are")
        version, reader = READERS[schema]
        if type(document.get("version")) is not int or document["version"] != version:
            raise InputError(f"version: {shown(document.get('version'))} is not accepted; {version} is")
        return Source(str(file), schema, *reader(file, document))
    except InputError as error:
        raise InputError(f"{file}: {str(error).removeprefix(f'{file}: ')}") from error


def report(source: Source, begin: Callable[[str], None]) -> Report:
    """All verdicts on a file; `begin` is called before each, with what it is."""
    found = Report(source.file, source.schema)
    begin(source.file)
    for verdict in source.verdicts:
        found.add(verdict)
        begin(source.file)
    return found


def _gap(file: Path, document: dict[str, Any]) -> tuple[int, Iterator[Verdict]]:
    return gap_study.num_verdicts(document), gap_study.verdicts(document)


def _iterations(file: Path, header: dict[str, Any]) -> tuple[int, Iterator[Verdict]]:
    check_names("header", header, tuple(certificate_log.HEADER))
    return sum(1 for _ in _lines(file)) - 1, _of_lines(file)


def _of_lines(file: Path) -> Iterator[Verdict]:
    """A verdict on each line after the header; one that is no JSON, as where a run was cut off, does not hold."""
    iteration = -1
    for number, line in enumerate(_lines(file), 1):
        if number == 1:
            continue
        try:
            record = parse_json(line)
        except InputError as error:
            yield Verdict(f"line {number}", (f"record: {str(error).removeprefix('line 1, ')}",))
            continue
        yield iterations.verdict(record, iteration)
        if isinstance(record, dict) and type(record.get("iteration")) is int:
            iteration = max(iteration, record["iteration"])


def _header(file: Path) -> object:
    """What the first line says, where it is a document of its own."""
    try:
        return parse_json(next(_lines(file), ""))
    except InputError:
        return None


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8") as lines:
            yield from lines
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); a readable file is accepted") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is not UTF-8 text; a UTF-8 file is accepted") from error


def document(reports: list[Report], skipped: list[str]) -> dict[str, Any]:
    """The reports as plain values."""
    return {
        "schema": "aptsched.verification",
        "version": 1,
        "holds": not any(found.failures for found in reports),
        "files": [
            vars(found)
            | {"failures": [{"record": verdict.name, "reasons": verdict.reasons} for verdict in found.failures]}
            for found in reports
        ],
        "skipped": skipped,
    }


def describe(reports: list[Report], skipped: list[str]) -> list[str]:
    """The reports as lines: what holds, what is proved and what is only said, and what does not hold and why."""
    lines = []
    for found in reports:
        lines.append(f"{found.file}: {found.num_holding} of {found.num_entries} entries hold")
        if found.worst_gap is not None:
            lines.append(f"  certified gap: {table.gap(found.worst_gap)} at worst")
        lines.append(f"  optimal by certificate: {found.num_optimal}; by the word of the method: {found.num_said}")
        for verdict in found.failures[:MOST_SHOWN]:
            lines += [f"  {verdict.name}: {reason}" for reason in verdict.reasons]
        if len(found.failures) > MOST_SHOWN:
            lines.append(f"  and {len(found.failures) - MOST_SHOWN} more, all with --json")
    return lines + [f"skipped: {reason}" for reason in skipped]


READERS = {"aptsched.gap": (2, _gap), certificate_log.SCHEMA: (certificate_log.VERSION, _iterations)}
