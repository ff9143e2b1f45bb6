"""Completes error messages: with the file, the field's name in the file, and lists of several faults."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from aptsched.support.errors import InputError

NUM_NAMED = 4  # most faults that one message lists


@contextmanager
def located(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file before the message of an InputError raised within."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Rename the field that an InputError's message begins with to its name in the file, for errors raised within."""
    try:
        yield
    except InputError as error:
        field, colon, rest = str(error).partition(":")
        raise InputError(f"{names.get(field, field)}{colon}{rest}") from error


def listed(items: Sequence[str], separator: str = ", ", num_named: int = NUM_NAMED) -> str:
    """The first few items, and how many more there are."""
    more = len(items) - num_named
    return separator.join(items[:num_named]) + (f"{separator}and {more} more" if more > 0 else "")
