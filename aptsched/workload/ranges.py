"""Checks of single parameters, or one message that names the field, the value and what is accepted."""

from __future__ import annotations

from aptsched.support import checks
from aptsched.support.errors import InputError
from aptsched.support.shown import shown


def whole(field: str, given: int, most: int = checks.MAX_COUNT) -> int:
    """A whole number from 1 to `most`."""
    try:
        value = checks.limit(field, given)
    except InputError:
        value = 0
    if not 1 <= value <= most:
        limit = "2**32" if most == checks.MAX_COUNT else str(most)
        raise InputError(f"{field}: {shown(given)} is not accepted; a whole number from 1 to {limit} is")
    return value


def number(field: str, given: float, least: float, most: float) -> float:
    """A number from `least` to `most`."""
    value = float(checks.floats(field, given, ndim=0))
    if not least <= value <= most:
        raise InputError(f"{field}: {shown(given)} is not accepted; a number from {least:g} to {most:g} is")
    return value
