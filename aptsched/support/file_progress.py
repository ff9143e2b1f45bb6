"""Who wants to know how far a long file is read: a command that has a terminal, and no one else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

EVERY = 1 << 14  # lines
Watch = Callable[[str, int, int], None]  # path, bytes read, bytes of the file; at the end they are equal

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Tell `watch` of what is read meanwhile."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def tell_read(path: str, num_read: int, size: int) -> None:
    """So many bytes of a file are read."""
    watch = _watch.get()
    if watch is not None:
        watch(path, num_read, size)
