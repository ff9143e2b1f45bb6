"""Checks the files that a document of results names as its own: each must exist, as it was when it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aptsched.report.document import digest
from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.fields import named
from aptsched.support.shown import shown
from proofs.records import Verdict

NEEDED, OPTIONAL = ("file", "sha256"), ("policy", "rate_per_s")


def file_entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of `files` that name a file beside the document; their other fields are not checked."""
    given = document.get("files")
    return [entry for entry in given if _is_named(entry)] if isinstance(given, list) else []


def names(document: dict[str, Any], directory: Path) -> tuple[Path, ...]:
    """The paths of the files that the document names."""
    return tuple(directory / entry["file"] for entry in file_entries(document))


def verdicts(document: dict[str, Any], directory: Path) -> Iterator[Verdict]:
    """A verdict on each entry of `files`."""
    given = document["files"] if isinstance(document["files"], list) else [document["files"]]
    found = [entry["file"] for entry in file_entries(document)]
    for entry in given:
        name = entry["file"] if _is_named(entry) else shown(entry)
        reasons = tuple(_against(entry, directory))
        if _is_named(entry) and found.count(name) > 1:
            reasons += ("file: it is named twice",)
        yield Verdict(f"file {name}", reasons)


def seal_against(document: dict[str, Any]) -> Iterator[str]:
    """Yield a reason if the document has a digest and it is not that of its content."""
    try:
        fact = digest(document)
    except RecursionError:
        yield "document: nested too deeply; results have a few levels"
        return
    if document.get("sha256", fact) != fact:
        yield f"sha256: {shown(document['sha256'])} is not the digest of the document: something in it was changed"


def _is_named(entry: object) -> bool:
    name = entry.get("file") if isinstance(entry, dict) else None
    return isinstance(name, str) and name == Path(name).name and name.isprintable()


def _against(entry: Any, directory: Path) -> Iterator[str]:
    try:
        named("entry of files", entry, NEEDED, OPTIONAL)
    except InputError as error:
        yield str(error)
        return
    if not _is_named(entry):
        yield f"file: {shown(entry['file'])} is not accepted; the name of a file beside this one is"
        return
    path = directory / entry["file"]
    try:
        if not path.exists():
            yield "file: it is missing"
        elif files.sha256(path) != entry["sha256"]:
            yield f"sha256: {shown(entry['sha256'])} is not the digest of the file: it was changed"
    except (InputError, OSError) as error:
        yield f"file: {str(error).removeprefix(f'{path}: ')}"
