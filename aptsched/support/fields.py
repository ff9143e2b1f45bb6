"""Fields of an object that was read, or one message that names the field, its value and what is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.json_text import as_shown

LONGEST = 1000  # characters of a text


def named(what: str, given: object, needed: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    """An object with just these fields; those that are optional may be missing."""
    if not isinstance(given, dict):
        raise InputError(f"{what}: {as_shown(given)} is not accepted; an object is")
    needed, optional = tuple(needed), tuple(optional)
    for name in needed:
        if name not in given:
            raise InputError(f"{name}: missing in {what}; {', '.join(needed)} are needed")
    for name in given:
        if name not in needed and name not in optional:
            raise InputError(f"{as_shown(name)}: unknown in {what}; {', '.join((*needed, *optional))} are accepted")
    return given


def listed(what: str, given: object) -> list[Any]:
    """A list."""
    if not isinstance(given, list):
        raise InputError(f"{what}: {as_shown(given)} is not accepted; a list is")
    return given


def text(what: str, given: object) -> str:
    """A text, not empty and not endless."""
    if not isinstance(given, str) or not 0 < len(given) <= LONGEST:
        raise InputError(f"{what}: {as_shown(given)} is not accepted; a text of 1 to {LONGEST} characters is")
    return given


def number(what: str, given: object, least: float, most: float) -> float:
    """A number within limits, which are finite."""
    if not isinstance(given, int | float) or isinstance(given, bool) or not least <= given <= most:
        raise InputError(f"{what}: {as_shown(given)} is not accepted; a number from {least:g} to {most:g} is")
    return float(given)


def whole(what: str, given: object, least: int, most: int) -> int:
    """A whole number within limits."""
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
        raise InputError(f"{what}: {as_shown(given)} is not accepted; a whole number from {least} to {most} is")
    return given
