"""Makes stdout and stderr safe to print to: any text is accepted, and only errors of stdout are raised."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from aptsched.support.shown import one_line


class StdoutError(Exception):
    """Stdout cannot be written to, for example because a disk is full or the reader of a pipe has gone."""


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Within it, any text can be printed to stdout and stderr, however the process was started.

    A closed stream swallows everything. Characters that its encoding lacks are replaced. An error of stdout becomes a
    `StdoutError`, even at the last flush; an error of stderr is dropped, for there is nowhere to report it.
    """
    _open_standard_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _stream(sys.stdout, tells=True), _stream(sys.stderr, tells=False)
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = before


def say(message: str) -> None:
    """Print one line on stderr, with all control characters escaped."""
    print(one_line(message), file=sys.stderr, flush=True)


def drop_stdout() -> None:
    """Send further output of stdout nowhere, for Python would otherwise report its error again at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Stream:
    """A text stream whose errors are raised as `StdoutError`, or dropped."""

    def __init__(self, stream: TextIO, tells: bool) -> None:
        self._stream, self._tells = stream, tells

    def write(self, text: str) -> int:
        """Write a text, as to any stream."""
        with self._errors():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, as any."""
        with self._errors():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._tells:
                raise StdoutError("" if isinstance(error, BrokenPipeError) else error.strerror) from error


def _stream(stream: TextIO | None, tells: bool) -> TextIO:
    if stream is None:  # Python sets closed streams to None
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # as long as the process
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace" if tells else "backslashreplace")
    return cast(TextIO, _Stream(stream, tells))


def _open_standard_descriptors() -> None:
    """Open closed standard descriptors on the null device, so that no other file gets their numbers."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
