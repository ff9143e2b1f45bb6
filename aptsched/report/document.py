"""Results as one JSON document: what every command writes of itself beside its figures."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Any


def as_json(document: dict[str, Any]) -> str:
    """The document as JSON, a field a line, and of a list an entry a line."""
    fields = (f"{_compact(name)}: {_lines(value)}" for name, value in document.items())
    return "{\n" + ",\n".join(fields) + "\n}\n"


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """The version of each package; None where it is not installed."""
    return {name: _version(name) for name in packages}


def machine() -> dict[str, str | int | None]:
    """Python, the system, its number of CPUs."""
    return {"python": platform.python_version(), "system": platform.platform(), "num_cpus": os.cpu_count()}


def known(value: float | None) -> float | None:
    """The number, or None where it is none: JSON has no NaN and no Infinity."""
    return None if value is None or not math.isfinite(value) else value


def _lines(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(_compact(entry) for entry in value) + "\n]"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
