"""The JSON files of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aptsched.support import json_text
from aptsched.support.errors import InputError


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file.

    Raises
    ------
    InputError
        As `json_text.read_json`, and where it is no object.
    """
    content = json_text.read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: {type(content).__name__} is not accepted; a JSON object is")
    return content


def is_file(path: Path) -> bool:
    """Whether the path, with links followed, is a regular file: no directory, pipe or device."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a directory that may not be searched
        return False


def is_directory(path: Path) -> bool:
    """Whether the path, with links followed, is a directory."""
    try:
        return path.is_dir()
    except OSError:
        return False
