"""What is printed: text that any terminal has, an error that is known to be of stdout, and none of stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from aptsched.support.shown import one_line


class StdoutError(Exception):
    """Stdout cannot be written, as where a disk is full or a reader has gone."""


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Within, stdout and stderr can be printed to whatever the process was begun with.

    A stream that is closed takes everything. What its encoding does not have is replaced. An error of stdout is a
    `StdoutError`, also where it comes at the last flush; one of stderr is nobody's, for there is nowhere to tell it.
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
    """One line on stderr, with nothing in it that a terminal obeys."""
    print(one_line(message), file=sys.stderr, flush=True)


def drop_stdout() -> None:
    """Let nothing more be written to it, else Python complains once more at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Stream:
    """A text stream whose errors are told as `StdoutError`, or not at all."""

    def __init__(self, stream: TextIO, tells: bool) -> None:
        self._stream, self._tells = stream, tells

    def write(self, text: str) -> int:
        """As of any stream."""
        with self._errors():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As of any stream."""
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
    if stream is None:  # Python's word for one that is closed
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # as long as the process
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace" if tells else "backslashreplace")
    return cast(TextIO, _Stream(stream, tells))


def _open_standard_descriptors() -> None:
    """Else the next file that is opened gets the number of a stream, and what is printed natively goes into it."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
