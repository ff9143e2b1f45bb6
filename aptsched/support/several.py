"""Options that take several values: one, many, or text with commas between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

Number = TypeVar("Number", int, float)


def as_texts(given: str | float | Iterable[str | float]) -> tuple[str, ...]:
    """Each value as the text that a command is given."""
    each = [given] if isinstance(given, (str, int, float)) else given
    return tuple(map(str, each))


def parts(field: str, text: str) -> list[str]:
    """The values of one text, with commas between them.

    Raises
    ------
    InputError
        It is no text that files of results can hold.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{field}: {shown(text)} is not accepted; UTF-8 text is")
    return [part.strip() for part in text.split(",") if part.strip()]


def several(field: str, given: Sequence[str]) -> list[str]:
    """The values of all texts; raises InputError as `parts`, and where there are none."""
    found = [part for text in given for part in parts(field, text)]
    if not found:
        raise InputError(f"{field}: nothing is given; at least one is needed")
    return found


def numbers(field: str, given: Sequence[str], kind: type[Number]) -> list[Number]:
    """Several numbers, each once.

    Raises
    ------
    InputError
        There are none, or one is not of that kind.
    """
    found = []
    for text in several(field, given):
        try:
            found.append(kind(text))
        except ValueError as error:
            accepted = "whole numbers are" if kind is int else "numbers are"
            raise InputError(f"{field}: {shown(text)} is not accepted; {accepted}") from error
    return list(dict.fromkeys(found))
