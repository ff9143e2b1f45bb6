"""Files of results from any source: recognised by their schema, and checked claim by claim.

The schemas are described in docs/formats.md. A reader of a further schema is one entry in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aptsched.problem import certificate_log, instance
from aptsched.support.errors import InputError
from aptsched.support.json_text import parse_json
from aptsched.support.shown import shown
from proofs import belongings, capacity_study, gap_study, iterations, reading, run_study
from proofs.records import Verdict

LOGS = (".jsonl", ".jsonl.gz")
OURS = "aptsched."  # beginning of our schemas
AS_SAID = "as said, for nothing here shows it: "


@dataclass(frozen=True)
class ResultFile:
    """A file of results: an estimate of how many verdicts there are, and the verdicts, computed as they are iterated.

    Attributes
    ----------
    file, schema : str
    num_verdicts : int
    verdicts : iterator of Verdict
    names : tuple of Path
        The files that it names as its own.
    notes : tuple of str
        Lines that say what was not checked.
    """

    file: str
    schema: str
    num_verdicts: int
    verdicts: Iterator[Verdict]
    names: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


Reader = Callable[[Path, dict[str, Any]], ResultFile]


class ForeignError(InputError):
    """A file is in some format, but in none of ours."""


def read(file: Path) -> ResultFile:
    """The results in a file; where it has none, one verdict says why it has none."""
    try:
        return read_results(file)
    except InputError as error:
        return unreadable(file, str(error))


def read_results(file: Path) -> ResultFile:
    """The results in a file; raises InputError, and ForeignError where it does not claim to be results."""
    try:
        document = _content(file)
        schema = document.get("schema") if isinstance(document, dict) else None
        if not isinstance(schema, str) or schema not in READERS:
            kind = ForeignError if schema is None or _is_foreign(schema) else InputError
            raise kind(f"schema: {shown(schema)} is not accepted; {', '.join(READERS)} are")
        version, reader = READERS[schema]
        if type(document.get("version")) is not int or document["version"] != version:
            raise InputError(f"version: {_version(document.get('version'), version)}; {version} is accepted")
        return reader(file, document)
    except RecursionError as error:
        raise InputError("nested too deeply; results have a few levels") from error


def unreadable(file: Path, why: str) -> ResultFile:
    """A file that cannot be read: its one verdict says why."""
    return ResultFile(str(file), "", 1, iter([Verdict("the file", (why,))]))


def _is_foreign(schema: object) -> bool:
    return isinstance(schema, str) and not schema.startswith(OURS)


def _content(file: Path) -> Any:
    """The document in a file; of a log of certificates, which is JSON Lines, only its header."""
    first = next(reading.lines(file), b"")
    if file.name.endswith(LOGS):
        header = parse_json(reading.decoded(first))
    else:
        try:
            header = parse_json(reading.decoded(first))
        except InputError:
            header = None
    schema = header.get("schema") if isinstance(header, dict) else None
    if schema == certificate_log.SCHEMA or (file.name.endswith(LOGS) and (schema is None or _is_foreign(schema))):
        return header
    return parse_json(reading.text(file))


def _version(given: object, accepted: int) -> str:
    if type(given) is int and 0 < given < accepted:
        return f"{given} was written by an earlier version, which this one cannot check"
    return f"{shown(given)} is not accepted"


def _gap(file: Path, document: dict[str, Any]) -> ResultFile:
    gap_study.check(document)
    count = sum(len(document[name]) for name in ("instances", "records", "files")) + 1
    verdicts = gap_study.verdicts(document, file.parent)
    notes = (AS_SAID + ", ".join(gap_study.AS_SAID),)
    return ResultFile(str(file), document["schema"], count, verdicts, belongings.names(document, file.parent), notes)


def _run(file: Path, document: dict[str, Any]) -> ResultFile:
    run_study.check(document)
    sizes = [summary.get("num_requests") for summary in document["summary"] if isinstance(summary, dict)]
    num_rows = sum(size for size in sizes if type(size) is int and size > 0)
    count = sum(len(document[name]) for name in ("summary", "files")) + num_rows + 1
    verdicts = run_study.verdicts(document, file.parent)
    notes = (AS_SAID + ", ".join(run_study.as_said(document)), *run_study.notes(document))
    return ResultFile(str(file), document["schema"], count, verdicts, belongings.names(document, file.parent), notes)


def _capacity(file: Path, document: dict[str, Any]) -> ResultFile:
    capacity_study.check(document)
    count = len(document["capacities"]) + len(document["comparisons"]) + 1
    verdicts = capacity_study.verdicts(document)
    return ResultFile(
        str(file), document["schema"], count, verdicts, notes=(AS_SAID + ", ".join(capacity_study.AS_SAID),)
    )


def _log(file: Path, header: dict[str, Any]) -> ResultFile:
    return ResultFile(str(file), header["schema"], iterations.num_lines(file), iterations.verdicts(file))


def _instance(file: Path, document: dict[str, Any]) -> ResultFile:
    instance.from_dict(document)
    return ResultFile(str(file), document["schema"], 1, iter([Verdict("the instance", ())]))


def _measured(file: Path, document: dict[str, Any]) -> ResultFile:
    return ResultFile(str(file), document["schema"], 0, iter(()), notes=(AS_SAID + "all of it",))


READERS: dict[str, tuple[int, Reader]] = {
    "aptsched.run": (3, _run),
    "aptsched.gap": (2, _gap),
    "aptsched.capacity": (1, _capacity),
    certificate_log.SCHEMA: (certificate_log.VERSION, _log),
    instance.SCHEMA: (instance.VERSION, _instance),
    "aptsched.calibration": (1, _measured),
    "aptsched.completions": (1, _measured),
    "aptsched.verification": (2, _measured),
}
