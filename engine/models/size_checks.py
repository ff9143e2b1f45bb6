"""Checks numbers of a model's configuration, or refuses them with what is accepted."""

from __future__ import annotations

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MAX_SIZE = 2**24  # so that bytes of a tensor stay far from overflow


def check_size(name: str, value: object, largest: int = MAX_SIZE) -> int:
    """The value, a whole number from 1 to `largest`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise InputError(f"{name}: {shown(value)} is not accepted; a whole number from 1 to {largest} is")
    return value


def check_number(name: str, value: object, least: float, most: float) -> float:
    """The value as a float, a number from `least` to `most`."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name}: {shown(value)} is not accepted; a number from {least:g} to {most:g} is")
    return float(value)
