"""Ctrl-C at a time of our choosing: native solvers catch the signal themselves, and some never say so."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

EXIT_CODE = 130


class Hold:
    """Lets Ctrl-C through within `with hold:`, and keeps it until then everywhere else."""

    def __init__(self) -> None:
        self._pressed = self._open = False

    def press(self, signal_number: int, frame: FrameType | None) -> None:
        """The handler of the signal."""
        self._pressed = True
        if self._open:
            self.let_through()

    def let_through(self) -> None:
        """Raises KeyboardInterrupt if it was pressed and has not been raised yet."""
        if self._pressed:
            self._pressed = self._open = False
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        self._open = True
        self.let_through()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False


@contextlib.contextmanager
def held() -> Iterator[Hold]:
    """Ctrl-C comes as KeyboardInterrupt only where the hold lets it through, and at the end.

    In a thread that is not the main one, or where the signal is handled in another way already, nothing is done.
    """
    hold = Hold()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield hold
        return
    signal.signal(signal.SIGINT, hold.press)
    try:
        yield hold
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hold.let_through()


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Ctrl-C ends the process at once, with one line: for what is quick, and leaves nothing behind.

    While modules are imported, KeyboardInterrupt may come in a callback of the importer, which prints and drops it, or
    become another error in a native module. In a thread that is not the main one, or where the signal is handled in
    another way already, nothing is done.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(signal_number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(EXIT_CODE)


@contextlib.contextmanager
def deferred(notice: str, presses: int = 2) -> Iterator[Callable[[], bool]]:
    """Hold back Ctrl-C; yields a function that says whether it was pressed.

    The first one prints `notice` on stderr, the one numbered `presses` ends the process at once. Threads that are
    started within hold it back too, so no native solver sees it: enter before those are imported. Where signals cannot
    be held back (Windows, a thread that is not the main one, Ctrl-C ignored) nothing is done, and KeyboardInterrupt
    comes as ever.
    """
    main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "sigwait") or not main or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield lambda: False
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pressed, done = threading.Event(), threading.Event()
    watch = threading.Thread(target=_watch, args=(pressed, done, notice, presses), daemon=True)
    watch.start()
    try:
        yield pressed.is_set
    finally:
        done.set()
        while watch.is_alive():
            assert watch.ident is not None
            signal.pthread_kill(watch.ident, signal.SIGINT)
            watch.join(0.01)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(pressed: threading.Event, done: threading.Event, notice: str, presses: int) -> None:
    signal.sigwait({signal.SIGINT})
    if done.is_set():
        return
    pressed.set()
    print(notice, file=sys.stderr, flush=True)
    for _ in range(presses - 1):
        signal.sigwait({signal.SIGINT})
    if not done.is_set():
        os._exit(EXIT_CODE)
