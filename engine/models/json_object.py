"""The JSON files of a model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from aptsched import files
from aptsched.errors import InputError
from engine.models.faults import located, shown


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file.

    Raises
    ------
    InputError
        It cannot be read, is not JSON (which has neither NaN nor Infinity), is nested too deeply, has numbers of
        thousands of digits, names a field twice, or is no object.
    """
    if os.path.lexists(path) and not is_file(path):
        raise InputError(f"{path}: cannot be read (it is no file that is there); a JSON file is accepted")
    text = files.read_text(path)
    with located(path):
        try:
            content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON ({str(error).partition(';')[0]})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: {type(content).__name__} is not accepted; a JSON object is")
    return content


def is_file(path: Path) -> bool:
    """Whether there is a file at the end of all links, and no directory, pipe or device."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a directory that may not be searched
        return False


def _no_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not accepted; JSON has finite numbers alone")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        name = next(name for i, (name, _) in enumerate(pairs) if any(name == other for other, _ in pairs[:i]))
        raise InputError(f"{shown(name)} is given twice, which is not accepted; once is")
    return content
