"""Silences native solvers, which print banners on file descriptor 1, past Python, into our output."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discard what is written to file descriptor 1 within it, by this process or its children.

    C's own buffers are flushed on both sides, so nothing appears late. The descriptor belongs to the process: what
    another thread prints on stdout meanwhile is lost too; stderr is left alone. Without a descriptor 1 nothing is done.
    """
    try:
        kept = os.dup(1)
    except OSError:
        yield
        return
    _flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)


def _flush() -> None:
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # on Windows the C library has no such name
        ctypes.CDLL(None).fflush(None)
