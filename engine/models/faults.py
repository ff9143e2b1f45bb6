"""Messages that say where something is wrong, and all that is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aptsched.errors import InputError

NUM_NAMED = 4  # faults that one message lists


@contextmanager
def located(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file before the message of an InputError raised within."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """The first few, and how many more there are."""
    more = len(items) - NUM_NAMED
    return separator.join(items[:NUM_NAMED]) + (f"{separator}and {more} more" if more > 0 else "")
