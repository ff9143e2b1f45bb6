"""Ctrl-C at a time of our choosing: native solvers catch the signal themselves, and some never say so."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

EXIT_CODE = 130


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
