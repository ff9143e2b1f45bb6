"""Results as one JSON document: the parts that every command's document has beside its figures."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aptsched.report import figure
from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.json_text import compact_json

_sorted_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def prepare(path: str | os.PathLike[str], names: Iterable[str]) -> Path:
    """Make the directory, and find out before a long run whether plots and these files can be written to it.

    Raises
    ------
    InputError
        They cannot, and why.
    """
    figure.require()
    directory = files.make_directory(path)
    for name in names:
        if (directory / name).is_dir():
            raise InputError(f"{directory / name}: a directory is in the way; a file, or nothing, is accepted there")
    return directory


@dataclass(frozen=True, eq=False)
class Entries:
    """A list in a document that is too long to hold: its entries are made anew whenever they are gone through."""

    made: Callable[[], Iterator[dict[str, Any]]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.made()


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """The document with all its entries, as plain values."""
    return {name: list(value) if isinstance(value, Entries) else value for name, value in document.items()}


def as_json(document: dict[str, Any]) -> str:
    """The document as JSON, each field on a line, and each entry of a list."""
    return "".join(json_parts(document))


def json_parts(document: dict[str, Any]) -> Iterator[str]:
    """The text of `as_json` in parts, for what is too much to hold."""
    yield "{"
    for number, (name, value) in enumerate(document.items()):
        yield f"{',' if number else ''}\n{compact_json(name)}: "
        yield from _parts(value, compact_json, "\n")
    yield "\n}\n"


def named_file(directory: Path, name: str, **of: object) -> dict[str, object]:
    """The entry of a document for a file beside it: its name, what it belongs to (`of`), and its bytes' digest."""
    return {"file": name, **of, "sha256": files.sha256(directory / name)}


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the digest of all its other fields, last."""
    return {**document, "sha256": digest(document)}


def digest(document: dict[str, Any]) -> str:
    """SHA-256 of the document without the field `sha256`, as JSON with sorted names and no spaces."""
    found = hashlib.sha256(b"{")
    for number, name in enumerate(sorted(document.keys() - {"sha256"})):
        found.update(f"{',' if number else ''}{_sorted_json(name)}:".encode())
        for part in _parts(document[name], _sorted_json):
            found.update(part.encode())
    found.update(b"}")
    return found.hexdigest()


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """The version of each package; None where it is not installed."""
    return {name: _version(name) for name in packages}


def machine() -> dict[str, str | int | None]:
    """Python, the system, its number of CPUs."""
    return {"python": platform.python_version(), "system": platform.platform(), "num_cpus": os.cpu_count()}


def known(value: float | None) -> float | None:
    """The number, or None where it is not finite: JSON has no NaN and no Infinity."""
    return None if value is None or not math.isfinite(value) else value


def _parts(value: Any, encoded: Callable[[Any], str], break_: str = "") -> Iterator[str]:
    """JSON of a field, each entry of a list by itself, and after a break if there is one."""
    if not isinstance(value, (list, Entries)):
        yield encoded(value)
        return
    number = -1
    for number, entry in enumerate(value):
        yield f"{',' if number else '['}{break_}{encoded(entry)}"
    yield f"{break_}]" if number >= 0 else "[]"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
