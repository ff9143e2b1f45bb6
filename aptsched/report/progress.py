"""Progress of a long command on stderr: one line that is redrawn on a terminal, elsewhere a line now and then.

It is drawn only when the command says how far it is, so never while something is timed. Without a terminal, a command
of less than half a minute prints no progress, except for measurements, which are few and long.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TextIO

from aptsched.support import text_lines
from aptsched.support.shown import one_line
from aptsched.support.text_lines import CLEAR

REDRAW_S, SAY_S = 0.2, 30.0
SURE_S = 2.0  # before that the time left is not estimated


class Progress:
    """A line that says how many of a total are done.

    Parameters
    ----------
    total : int
        It may be an estimate.
    unit : str
        What is counted, in the plural.
    file : text file
    clock : callable
        Seconds.
    say_s : float
        Seconds from one line to the next where there is no terminal.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        file: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        say_s: float = SAY_S,
    ) -> None:
        self._total, self._unit, self._clock, self._say_s = total, unit, clock, say_s
        self._file = sys.stderr if file is None else file
        self._is_terminal = self._file.isatty()
        self._began_s = clock()
        self._shown_s = self._began_s if not self._is_terminal else -REDRAW_S
        self._drawn = False

    def tell(self, num_done: int, doing: str = "", now: bool = False) -> None:
        """Say how many are done and what comes next; it is drawn now and then, or at once where `now` is given."""
        now_s = self._clock()
        if self._is_terminal and (now or now_s - self._shown_s >= REDRAW_S):
            width = text_lines.columns(self._file, least=20) - 1
            self._file.write(f"{CLEAR}{self._line(num_done, doing, now_s)[:width]}")
            self._drawn = True
        elif not self._is_terminal and now_s - self._shown_s >= self._say_s:
            self._file.write(f"{self._line(num_done, doing, now_s)}\n")
        else:
            return
        self._file.flush()
        self._shown_s = now_s

    def close(self) -> None:
        """Clear the line from the terminal."""
        if self._drawn:
            self._file.write(CLEAR)
            self._file.flush()
            self._drawn = False

    def _line(self, num_done: int, doing: str, now_s: float) -> str:
        passed_s = now_s - self._began_s
        line = f"{num_done:,} of {max(self._total, num_done):,} {self._unit}"
        if passed_s >= SURE_S and 0 < num_done < self._total:
            line += f", {_duration(passed_s / num_done * (self._total - num_done))} left"
        return f"{line}: {one_line(doing)}" if doing else line


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else ">100 min"


@contextlib.contextmanager
def progress(num_steps: int, unit: str) -> Iterator[Callable[[str], None]]:
    """Yield a function to call before each of many quick steps, with its name; some of them are drawn."""
    num_begun = 0
    with contextlib.closing(Progress(num_steps, unit)) as line:

        def begin(doing: str) -> None:
            nonlocal num_begun
            line.tell(num_begun, doing)
            num_begun += 1

        yield begin


@contextlib.contextmanager
def counting(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Yield a function to be told how many are done, as often as one likes."""
    with contextlib.closing(Progress(total, unit)) as line:
        yield line.tell


class Told(Protocol):
    """A function that is told how far a long command is."""

    def __call__(self, num_done: int, total: int, doing: str = "") -> None:
        """Take note of how many of a total are done, and what comes next."""
        ...


@contextlib.contextmanager
def counted(unit: str, each: bool = False, say_s: float = SAY_S) -> Iterator[Told]:
    """Yield a function to be told how many are done of how many, and what comes next.

    Parameters
    ----------
    unit : str
        What is counted, in the plural.
    each : bool
        Whether a terminal shows each; else some of many quick ones.
    say_s : float
        Seconds from one line to the next where there is no terminal.
    """
    line: Progress | None = None

    def tell(num_done: int, total: int, doing: str = "") -> None:
        nonlocal line
        line = line or Progress(total, unit, say_s=say_s)
        line.tell(num_done, doing, now=each)

    try:
        yield tell
    finally:
        if line is not None:
            line.close()


def measuring() -> contextlib.AbstractContextManager[Told]:
    """As `counted`, for measurements: each one is printed, also where there is no terminal."""
    return counted("measurements", each=True, say_s=0.0)


class FileProgress:
    """How far a file is read, in megabytes; it is a `file_progress.Watch`."""

    def __init__(self) -> None:
        self._line: Progress | None = None

    def __call__(self, path: str, num_read: int, size: int) -> None:
        """Draw how many bytes of the file are read; at the end it is all of them."""
        if num_read < size:
            self._line = self._line or Progress(size // 10**6, "MB read")
            self._line.tell(num_read // 10**6, path)
        elif self._line is not None:
            self._line.close()
            self._line = None
