"""Whether the values of a policy's options are accepted, each kind by one message."""

from __future__ import annotations

from typing import Any

from aptsched.support.checks import as_float, is_count
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MOST = 2**31  # of an option that is a number of things


def check_span(field: str, span_s: float) -> None:
    """Raises InputError unless it is a span that times can be divided by."""
    if not 1e-9 <= span_s <= 1e9:
        raise InputError(f"{field}: {shown(span_s)} is not accepted; seconds from 1e-9 to 1e9 are")


def check_count(field: str, given: object, least: int = 1, most: int = MOST) -> None:
    """Raises InputError unless it is a whole number from `least` to `most`."""
    if not is_count(given, least, most):
        raise InputError(f"{field}: {shown(given)} is not accepted; {least} to {'2**31' if most == MOST else most} are")


def check_seed(seed: object) -> None:
    """Raises InputError unless it is a seed of a generator."""
    if not is_count(seed, 0, 2**63 - 1):
        raise InputError(f"seed: {shown(seed)} is not accepted; 0 to 2**63 - 1 is")


def check_watermark(share: Any, name: str = "watermark") -> None:
    """Raises InputError unless it is a share of the pool that admission can leave free, from 0 to less than 1."""
    if not 0 <= as_float(share) < 1:
        raise InputError(f"{name}: {shown(share)} is not accepted; a share of the pool, 0 to less than 1, is")
