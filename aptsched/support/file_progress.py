"""Progress in reading a long file, told to a command that has a terminal, and else to nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

EVERY = 1 << 14  # lines
Watch = Callable[[str, int, int], None]  # path, bytes read, bytes of the file; at the end they are equal

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Within it, `watch` is told how far each file is read."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def tell_read(path: str, num_read: int, size: int) -> None:
    """Tell whoever watches that so many bytes of a file are read."""
    watch = _watch.get()
    if watch is not None:
        watch(path, num_read, size)
