"""JSON from any source, read strictly by its standard, which Python's own reader is not, or refused in one message."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

compact_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # on one line, without spaces


def read_json(path: str | os.PathLike[str]) -> object:
    """The JSON of a file; messages begin with the path.

    Raises
    ------
    InputError
        As `files.read_text` and `parse_json`.
    """
    text = files.read_text(path)
    try:
        return parse_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse_json(text: str) -> object:
    """JSON as its standard has it: no NaN or Infinity, no name given twice.

    Raises
    ------
    InputError
        Names line and column, or the value; also where it is nested too deeply, or a whole number has more digits than
        Python reads.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
    except json.JSONDecodeError as error:
        raise InputError(f"line {error.lineno}, column {error.colno}: not JSON ({error.msg})") from error
    except RecursionError as error:
        raise InputError("nested too deeply; a few levels are accepted") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        digits = max(re.findall(r"\d+", text), key=len)
        raise InputError(f"{shown(digits)}: {len(digits)} digits are not accepted; up to 4300 are") from error


def as_shown(value: object) -> str:
    """A value that was read, as messages show it: as JSON, cut where it is long."""
    try:
        text = json.dumps(value)
    except (RecursionError, ValueError):
        return shown(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # a digest is shown whole


def _no_constant(name: str) -> float:
    raise InputError(f"{name} is not accepted; finite numbers are")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"{as_shown(name)}: given twice; each field is accepted once")
        found[name] = value
    return found
