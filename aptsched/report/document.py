"""Results as one JSON document: the parts that every command's document has beside its figures."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from aptsched.report import figure
from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.json_text import compact_json


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


def as_json(document: dict[str, Any]) -> str:
    """The document as JSON, each field on a line, and each entry of a list."""
    fields = (f"{compact_json(name)}: {_lines(value)}" for name, value in document.items())
    return "{\n" + ",\n".join(fields) + "\n}\n"


def named_file(directory: Path, name: str, **of: object) -> dict[str, object]:
    """The entry of a document for a file beside it: its name, what it belongs to (`of`), and its bytes' digest."""
    return {"file": name, **of, "sha256": files.sha256(directory / name)}


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the digest of all its other fields, last."""
    return {**document, "sha256": digest(document)}


def digest(document: dict[str, Any]) -> str:
    """SHA-256 of the document without the field `sha256`, as JSON with sorted names and no spaces."""
    content = {name: value for name, value in document.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """The version of each package; None where it is not installed."""
    return {name: _version(name) for name in packages}


def machine() -> dict[str, str | int | None]:
    """Python, the system, its number of CPUs."""
    return {"python": platform.python_version(), "system": platform.platform(), "num_cpus": os.cpu_count()}


def known(value: float | None) -> float | None:
    """The number, or None where it is not finite: JSON has no NaN and no Infinity."""
    return None if value is None or not math.isfinite(value) else value


def _lines(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(compact_json(entry) for entry in value) + "\n]"
    return compact_json(value)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
