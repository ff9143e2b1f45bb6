"""Options that take several values: one, many, or text with commas between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TypeVar

from aptsched.support.errors import InputError
from aptsched.support.number_text import read_number
from aptsched.support.shown import shown

Number = TypeVar("Number", int, float)
Value = TypeVar("Value")


def as_texts(field: str, given: str | float | Iterable[str | float]) -> tuple[str, ...]:
    """Each value as the text that a command is given.

    Raises
    ------
    InputError
        It is neither text nor a number nor several of them.
    """
    if isinstance(given, (str, int, float, Real)):
        return (str(given),)
    return tuple(map(str, each_of(field, given)))


def each_of(field: str, given: Iterable[Value]) -> tuple[Value, ...]:
    """Several values, that can be gone through again; raises InputError where there are none to go through."""
    try:
        return tuple(given)
    except TypeError as error:
        raise InputError(f"{field}: {shown(given)} is not accepted; one, or several in a list, is") from error


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
            found.append(read_number(text, kind))
        except ValueError as error:
            accepted = "whole numbers are" if kind is int else "numbers are"
            raise InputError(f"{field}: {shown(text)} is not accepted; {accepted}") from error
    return list(dict.fromkeys(found))
