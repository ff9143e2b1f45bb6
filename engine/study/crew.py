"""A process that serves runs one after the other, and ends with the one that began it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, Protocol

from aptsched.support import beside, interrupts
from aptsched.support.errors import described

EVERY_S = 0.1  # between two messages on the progress of a job
PATIENCE_S = 5.0  # how long to wait for a process to end by itself


class Job(Protocol):
    """A task for a process; it can be pickled, like its answer."""

    def attempt(self, progress: Callable[[int], None]) -> Any:
        """Do the job and return its answer; `progress` is called with how far it is."""
        ...


class JobProcess:
    """A process that does jobs, as an object of its parent.

    The process never gets Ctrl-C or SIGTERM itself, not even while it starts: the parent decides what to do. If the
    parent is gone, however it ended, the process removes its temporary files and ends.

    Attributes
    ----------
    connection : Connection
        Ready when `receive` has something to return.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        their_stop, self._stop = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(theirs, their_stop), daemon=True)
        resource_tracker.ensure_running()  # started first, for it would unblock the signals
        with _blocked():
            self._process.start()
        theirs.close()
        their_stop.close()

    def give(self, job: Job) -> None:
        """Give the process, which is idle, a job; if it has ended, `receive` will say so."""
        with contextlib.suppress(OSError):
            self.connection.send(job)

    def receive(self) -> Any:
        """The job's progress as a number, its answer, or the error it raised; EOFError where the process has ended."""
        try:
            return self.connection.recv()
        except OSError as error:
            raise EOFError from error

    def interrupt(self) -> None:
        """Raise Ctrl-C in its job."""
        with contextlib.suppress(OSError):
            self._stop.send_bytes(b"stop")

    def end(self, *, idle: bool) -> str:
        """Ends the process, at once if it is not idle. Returns in words how it ended."""
        self.connection.close()
        if not idle:
            self._stop.close()
        self._process.join(PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._stop.close()
        code = self._process.exitcode
        return f"ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM; a process that is started within it never gets them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection[Any, Any], stop: Connection[Any, Any]) -> None:
    """The main function of the process: do jobs until the parent has no more."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even if it was ignored: a run holds it
    with contextlib.suppress(KeyboardInterrupt, EOFError), interrupts.held() as hold:
        signal.signal(signal.SIGUSR1, hold.press)
        threading.Thread(target=_watch, args=(stop,), daemon=True).start()
        while True:
            _send(connection, _answer(connection.recv(), connection))


def _watch(stop: Connection[Any, Any]) -> None:
    """Raise Ctrl-C when the parent says so, and end the process when the parent is gone."""
    while True:
        try:
            stop.recv_bytes()
        except (EOFError, OSError):
            beside.discard()
            os._exit(1)
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGUSR1)


def _answer(job: Job, connection: Connection[Any, Any]) -> Any:
    told_s = time.monotonic()

    def progress(count: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= EVERY_S:
            told_s = time.monotonic()
            connection.send(count)

    try:
        return job.attempt(progress)
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        return error


def _send(connection: Connection[Any, Any], answer: Any) -> None:
    try:
        connection.send(answer)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        connection.send(RuntimeError(f"{type(answer).__name__} of a run: {described(error)}"))
