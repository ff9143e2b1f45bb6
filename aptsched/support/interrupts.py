"""Ctrl-C and SIGTERM at a time of our choosing: native solvers catch the signal themselves, and some never say so."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

from aptsched.support import beside, start
from aptsched.support.text_lines import CLEAR

EXIT_CODE = start.EXIT_CODE
TERMINATED_CODE = 143  # after SIGTERM
_terminated = False  # whether SIGTERM has come


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM that came to this process, told by its class from a KeyboardInterrupt that a policy raises."""


class Hold:
    """Holds Ctrl-C back, except within `with hold:`, where it is raised.

    Code within may drop it, as a callback of the garbage collector does, or a policy that catches everything: then it
    is raised again at the next `with hold:`.
    """

    def __init__(self) -> None:
        self._pressed = self._open = self._raised = False

    def press(self, signal_number: int, frame: FrameType | None) -> None:
        """The handler of the signals."""
        _note(signal_number)
        self._pressed = True
        if self._open:
            self.let_through()

    def let_through(self) -> None:
        """Raises Interrupted if it was pressed and has not been raised yet."""
        if self._pressed:
            self._raised, self._pressed, self._open = self._open, False, False
            raise Interrupted

    def __enter__(self) -> None:
        self._open, self._raised = True, False
        self.let_through()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        dropped, self._raised = self._raised and not isinstance(error, Interrupted), False
        self._pressed = self._pressed or dropped


@contextlib.contextmanager
def held() -> Iterator[Hold]:
    """Hold back Ctrl-C and SIGTERM: KeyboardInterrupt is raised only where the hold lets it through, and at the end.

    Within another `held()` it yields the outer hold, and raises nothing at its end. In a thread that is not the main
    one, or where the signal is handled in another way already, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Hold()
        return
    now = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    outer = next((hold for each in now.values() if isinstance(hold := getattr(each, "__self__", None), Hold)), None)
    if outer is not None:
        yield outer
        return
    start.keep()
    hold, own = Hold(), (signal.default_int_handler, start.press, _terminate)
    taken = {number: handler for number, handler in now.items() if handler in own}
    for number in taken:
        signal.signal(number, hold.press)
    try:
        yield hold
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
    hold.let_through()


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within it, SIGTERM acts as Ctrl-C: results are kept, temporary files removed; only `exit_code` differs.

    In a thread that is not the main one, or where the signal is handled or ignored already, nothing is done.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    global _terminated
    _terminated = False
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def exit_code() -> int:
    """The exit code of a command that was interrupted: 143 after SIGTERM, 130 otherwise."""
    return TERMINATED_CODE if _terminated else EXIT_CODE


def _terminate(signal_number: int, frame: FrameType | None) -> None:
    _note(signal_number)
    if start.is_importing(frame):
        start.end(TERMINATED_CODE)
    raise Interrupted


def _note(signal_number: int) -> None:
    global _terminated
    _terminated = _terminated or signal_number == signal.SIGTERM


@contextlib.contextmanager
def deferred(notice: str) -> Iterator[Callable[[], bool]]:
    """Hold back Ctrl-C, and SIGTERM where it is `terminable`; yields a function that says whether one of them came.

    Until that function is asked for the first time, there is nothing to keep: the process ends at once, with one line.
    From then on the first one prints `notice` on stderr, and the second one ends the process. Threads that are started
    within hold it back too, so no native solver sees it: enter before those are imported. Where signals cannot
    be held back (Windows, a thread that is not the main one, Ctrl-C ignored) nothing is done, and KeyboardInterrupt
    comes as ever.
    """
    main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "sigwait") or not main or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield lambda: False
        return
    signals = {signal.SIGINT}
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signals.add(signal.SIGTERM)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    asked, pressed, done = threading.Event(), threading.Event(), threading.Event()
    watch = threading.Thread(target=_watch, args=(signals, asked, pressed, done, notice), daemon=True)
    watch.start()

    def interrupted() -> bool:
        asked.set()
        return pressed.is_set()

    try:
        yield interrupted
    finally:
        done.set()
        while watch.is_alive():
            assert watch.ident is not None
            signal.pthread_kill(watch.ident, signal.SIGINT)
            watch.join(0.01)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(
    signals: set[signal.Signals],
    asked: threading.Event,
    pressed: threading.Event,
    done: threading.Event,
    notice: str,
) -> None:
    number = signal.sigwait(signals)
    if done.is_set():
        return
    _note(number)
    if asked.is_set():
        pressed.set()
        print(f"{CLEAR if sys.stderr.isatty() else ''}{notice}", file=sys.stderr, flush=True)
        _note(signal.sigwait(signals))
        if done.is_set():
            return
    else:
        print(f"{CLEAR if sys.stderr.isatty() else ''}interrupted", file=sys.stderr, flush=True)
    beside.discard()
    os._exit(exit_code())
