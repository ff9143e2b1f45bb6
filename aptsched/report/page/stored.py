"""Results as they were stored, read again: runs of policies, and searches for the highest rates that hold."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from aptsched.metrics import request_rows
from aptsched.report.document import digest
from aptsched.support import files
from aptsched.support.errors import InputError, described
from aptsched.support.json_text import parse_json
from aptsched.support.shown import shown

Row = dict[str, Any]
NAMES = ("results.json", "capacity.json")
RUN, CAPACITY = ("aptsched.run", 3), ("aptsched.capacity", 1)
ACCEPTED = "a directory that `aptsched run`, `simulate` or `capacity` wrote with --out is"
LISTS = {
    RUN: ("summary", "by_tenant", "timelines", "phases"),
    CAPACITY: ("capacities", "comparisons", "replicas", "probes"),
}


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A policy at a rate, as a directory of results has it.

    Attributes
    ----------
    label, policy : str
        The policy with its study where there are several, and without.
    study : int
        Number of the study, from 0.
    rate_per_s : float or None
        None where all requests of a trace arrive at once.
    summary, timeline : dict
        As in results.json.
    phases : list of dict
        Of some of its requests, as in results.json.
    rows : list of dict
        Of requests.csv.
    tenants : list of dict
        Its part of `by_tenant` in results.json.
    num_gpus : int
    """

    label: str
    policy: str
    study: int
    rate_per_s: float | None
    summary: Row
    timeline: Row
    phases: list[Row]
    rows: list[Row]
    tenants: list[Row]
    num_gpus: int

    @property
    def forms(self) -> list[str]:
        """The forms whose blocks are in the points of its timeline, in order."""
        ends = "_block_s"
        return [name.removesuffix(ends) for name in self.summary if name.endswith(ends)]

    @property
    def name(self) -> str:
        """The policy and its rate, for a person."""
        return f"{self.label}, {'all at once' if self.rate_per_s is None else f'{self.rate_per_s:g} a second'}"


@dataclass(frozen=True, eq=False)
class StoredStudy:
    """A document of results: of runs (`runs` has them) or of a search for capacities (`runs` is empty)."""

    name: str
    document: Row
    runs: tuple[StoredRun, ...] = ()


@dataclass(frozen=True, eq=False)
class Stored:
    """All that directories have, and notices on what in them was not used.

    Attributes
    ----------
    studies : tuple of StoredStudy
    notices : tuple of str
    """

    studies: tuple[StoredStudy, ...]
    notices: tuple[str, ...] = ()

    @property
    def runs(self) -> list[StoredRun]:
        """The runs of all studies."""
        return list(chain.from_iterable(study.runs for study in self.studies))

    @property
    def searches(self) -> list[StoredStudy]:
        """The studies of capacities."""
        return [study for study in self.studies if "capacities" in study.document]

    @property
    def policies(self) -> list[str]:
        """All policies, in the order of their first appearance, which gives them their colours."""
        of_searches = [row["policy"] for study in self.searches for row in study.document["capacities"]]
        return list(dict.fromkeys([*(run.policy for run in self.runs), *of_searches]))


@dataclass(eq=False)
class _Reading:
    studies: list[StoredStudy] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def read_stored(directories: Sequence[str | os.PathLike[str]]) -> Stored:
    """The results in these directories, each a study or several of them.

    Raises
    ------
    InputError
        A directory cannot be read, has no results, or results that are broken; the message names it.
    """
    found = _Reading()
    documents = [(path, list(_documents(path, found.notices))) for path in map(Path, directories)]
    several = sum(name == NAMES[0] for _, named in documents for name, _ in named) > 1
    names = _distinct([path for path, _ in documents])
    for (path, named), study in zip(documents, names, strict=True):
        for _, document in named:
            number = len(found.studies)
            runs = tuple(_runs(path, document, study if several else "", number, found.notices))
            found.studies.append(StoredStudy(study, document, runs))
    return Stored(tuple(found.studies), tuple(dict.fromkeys(map(_as_text, found.notices))))


@contextlib.contextmanager
def as_written(directories: Sequence[str | os.PathLike[str]]) -> Iterator[None]:
    """Within it, what in results is not as they are written, though their digest is right, is one `InputError`."""
    try:
        yield
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        where = ", ".join(map(str, directories))
        said = f"results that this version did not write, or that were changed and sealed anew ({described(error)})"
        raise InputError(f"{where}: {said}; {ACCEPTED} accepted") from error


def _distinct(paths: Sequence[Path]) -> list[str]:
    """A short name of each directory: its own, or the whole path where two have the same."""
    own = [path.absolute().name for path in paths]
    return [_as_text(name if own.count(name) == 1 else str(path)) for name, path in zip(own, paths, strict=True)]


def _as_text(name: str) -> str:
    """A name as a page can have it: what of a path is no UTF-8 is a question mark."""
    return name.encode("utf-8", "replace").decode()


def _documents(directory: Path, notices: list[str]) -> Iterator[tuple[str, Row]]:
    """The documents of a directory that the page can show."""
    shown_any = False
    if not directory.is_dir():
        raise InputError(f"{directory}: not a directory; {ACCEPTED} accepted")
    for name in NAMES:
        path = directory / name
        if not path.exists():
            continue
        document = _document(path)
        kind = (document.get("schema"), document.get("version"))
        if kind not in LISTS:
            notices.append(f"{path}: {shown(kind[0])}, version {shown(kind[1])}, is not shown here.")
            continue
        _check(path, document, LISTS[kind])
        if document.get("sha256") != digest(document):
            raise InputError(
                f"{path}: changed since it was written, as its digest says; as it was written it is accepted"
            )
        shown_any = True
        yield name, document
    if not shown_any:
        why = f" ({notices[-1].rstrip('.')})" if notices else ""
        raise InputError(f"{directory}: no results to report{why}; {ACCEPTED} accepted")


def _document(path: Path) -> Row:
    text = files.read_text(path)
    try:
        document = parse_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}; results as they were written are accepted") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: {shown(document)} is not accepted; an object is")
    return document


def _check(path: Path, document: Row, lists: Sequence[str]) -> None:
    for name in lists:
        if not isinstance(document.get(name), list):
            raise InputError(f"{path}: {name}: {shown(document.get(name))} is not accepted; a list is")


def _runs(directory: Path, document: Row, study: str, number: int, notices: list[str]) -> Iterator[StoredRun]:
    if "summary" not in document:
        return
    rows: dict[tuple[str, float | None], list[Row]] = {}
    for row in _rows(directory / "requests.csv", notices):
        rows.setdefault((row["policy"], row["rate_per_s"]), []).append(row)
    tenants: dict[tuple[str, float | None], list[Row]] = {}
    for entry in document["by_tenant"]:
        tenants.setdefault(_run_of(entry), []).append(entry)
    timelines, phases = ({_run_of(each): each for each in document[name]} for name in ("timelines", "phases"))
    num_gpus = document.get("gpu", {}).get("num_gpus", 1)
    for summary in document["summary"]:
        run = policy, rate = _run_of(summary)
        label = f"{policy} ({study})" if study else policy
        of_requests = phases[run]["requests"], rows.get(run, []), tenants.get(run, [])
        yield StoredRun(label, policy, number, rate, summary, timelines[run], *of_requests, num_gpus)


def _run_of(entry: Row) -> tuple[str, float | None]:
    return entry["policy"], entry["rate_per_s"]


def _rows(path: Path, notices: list[str]) -> Iterator[Row]:
    """The rows of requests.csv that can be read."""
    try:
        text = files.read_text(path)
    except InputError as error:
        notices.append(f"{error}; figures of single requests are left out.")
        return
    for line, row in request_rows.rows(text):
        if isinstance(row, InputError):
            notices.append(f"{path}: line {line}: {row}; the row is left out.")
        else:
            yield row
