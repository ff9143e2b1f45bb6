"""Files that cannot be written after long work: the tables come first, and it is said last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from aptsched.support.errors import InputError


@contextlib.contextmanager
def postponed(unwritten: list[InputError]) -> Iterator[None]:
    """Within, an error of a file is kept in the list, for the end of the command."""
    try:
        yield
    except InputError as error:
        unwritten.append(error)
    except OSError as error:
        unwritten.append(InputError(f"{error.filename or 'out'}: cannot be written ({error.strerror})"))


def raise_first(unwritten: list[InputError]) -> None:
    """Raise the first of them, if there is one."""
    if unwritten:
        raise unwritten[0]
