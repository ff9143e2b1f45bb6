"""Numbers as text: with digits of ASCII alone, as all commands and files have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number")


def has_plain_digits(text: str) -> bool:
    """Whether a text has neither underscores nor digits of another script, which Python reads as numbers too."""
    return "_" not in text and text.isascii()


def read_number(text: str, kind: Callable[[str], Number]) -> Number:
    """The number that `kind`, such as `int` or `Fraction`, reads from a text; raises ValueError where it is none."""
    if not has_plain_digits(text):
        raise ValueError(f"{text!r} has other characters than numbers have")
    return kind(text)
