"""Postpones errors of files that cannot be written after long work, so that the tables are printed first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from aptsched.support.errors import InputError


@contextlib.contextmanager
def postponed(unwritten: list[InputError]) -> Iterator[None]:
    """Within it, an error of a file is put on the list, for the end of the command."""
    try:
        yield
    except InputError as error:
        unwritten.append(error)
    except OSError as error:
        unwritten.append(InputError(f"{error.filename or 'out'}: cannot be written ({error.strerror})"))


def raise_first(unwritten: list[InputError]) -> None:
    """Raise the first of the postponed errors, if there is one."""
    if unwritten:
        raise unwritten[0]
