"""The command that made results, told from the options that they name."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

OTHER_NAMES = {"objectives": "slo"}  # fields that are called otherwise than their option


def command_of(document: dict[str, Any]) -> str:
    """The command, with all options that have a value, so that defaults that change later change nothing."""
    if document.get("schema") == "aptsched.capacity":
        command = "capacity"
    else:
        command = "simulate" if "gpu" in document else "run"
    return shlex.join(["aptsched", command, *_words(document.get("options", {}))])


def _words(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if value is None or value is False or value == []:
            continue
        yield "--" + OTHER_NAMES.get(name, name).replace("_", "-")
        if value is not True:
            yield from map(_word, value if isinstance(value, list) else [value])


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
