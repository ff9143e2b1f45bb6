"""Finds the files of results at a path, and says why the others are skipped."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Collection
from pathlib import Path

from aptsched.metrics.request_rows import HEADER
from aptsched.support.errors import InputError
from proofs import reading
from proofs.sources import LOGS, READERS, ForeignError, ResultFile, read, read_results, unreadable
from solvers.study.gap_files import as_csv

SUFFIXES = (".json", *LOGS)
OWN = ("results.json", "calibration.json", "certificates-")  # beginnings of our files' names
SEARCH, PROBES = "capacity.json", "probes"  # what `aptsched capacity` writes, and the folder beside it
NOTHING = "it claims nothing that is checked here"
TABLES = (HEADER.encode(), as_csv(()).encode())  # first lines of the CSV files that belong to a results.json


def find_results(path: str | os.PathLike[str]) -> tuple[list[ResultFile], list[str]]:
    """The results at a path, and why other files there were skipped.

    A file is read together with those that it names; in a directory every file at any depth is looked at.

    Raises
    ------
    InputError
        The path cannot be read, or is a directory without results.
    """
    given = Path(path)
    try:
        if is_directory := stat.S_ISDIR(given.stat().st_mode):
            next(given.iterdir(), None)
        else:
            reading.check(given)
    except (InputError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{os.fspath(given)[:200]}: cannot be read ({why}); results are accepted") from error
    if not is_directory:
        first = read(given)
        return [first, *(read(file) for file in first.names if file.name.endswith(LOGS) and file.exists())], []
    sources, skipped = _of_directory(given)
    if not sources:
        raise InputError(f"{given}: no results are in it; files of {', '.join(READERS)} are accepted")
    return sources, skipped


def _of_directory(directory: Path) -> tuple[list[ResultFile], list[str]]:
    files, sources, skipped = [], list[ResultFile](), list[str]()
    for folder, folders, names in os.walk(directory, onerror=lambda error: sources.append(_unreadable(error))):
        if SEARCH in names and PROBES in folders:
            folders.remove(PROBES)
            skipped.append(f"{Path(folder, PROBES)}: what a search goes on from; {SEARCH} has its runs")
        files += [Path(folder, name) for name in names]
    for file in sorted(files):
        if file.name.endswith(SUFFIXES):
            _add(file, sources, skipped)
        elif file.suffix != ".csv":
            skipped.append(f"{file}: {NOTHING}")
    named = {name for source in sources for name in source.names}
    for file in sorted(files):
        if file.suffix == ".csv" and file not in named:
            if _is_table(file):
                sources.append(unreadable(file, "no results.json beside it names it, and so it cannot be checked"))
            else:
                skipped.append(f"{file}: {NOTHING}")
    holders = {name.parent for name in named}
    return [_noted(source, named, holders) for source in sources], skipped


def _add(file: Path, sources: list[ResultFile], skipped: list[str]) -> None:
    """Add a file to the sources or to those skipped: files that are not ours, and pipes, which are not opened."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            skipped.append(f"{file}: a pipe or a device is not read")
            return
        sources.append(read_results(file))
    except ForeignError as error:
        if file.name.startswith(OWN):
            sources.append(unreadable(file, str(error)))
        else:
            skipped.append(f"{file}: {error}")
    except InputError as error:
        sources.append(unreadable(file, str(error)))
    except OSError as error:
        sources.append(unreadable(file, f"cannot be read ({error.strerror})"))


def _unreadable(error: OSError) -> ResultFile:
    return unreadable(Path(error.filename), f"directory: cannot be read ({error.strerror})")


def _noted(source: ResultFile, named: Collection[Path], holders: Collection[Path]) -> ResultFile:
    """The file, with a note if it is a log beside results that do not name it."""
    file = Path(source.file)
    if not file.name.endswith(LOGS) or file in named or file.parent not in holders:
        return source
    return dataclasses.replace(source, notes=(*source.notes, "no results.json beside it names it: checked alone"))


def _is_table(file: Path) -> bool:
    """Whether a CSV file begins as one of ours."""
    try:
        return next(reading.lines(file), b"") in TABLES
    except InputError:
        return False
