"""The output of a request so far, and the threads that wait for more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX
from time import monotonic
from typing import Protocol

from aptsched.scheduling.record import RequestRecord
from engine.session.output_text import OutputText
from engine.state.request import Request

Bell = SimpleQueue[None]  # of a thread that waits


class Rung(Protocol):
    """What is told that there may be news: the bell of a thread, or what wakes another kind of waiting."""

    def put(self, item: None, /) -> None:
        """Takes a ring; called by who runs the worker, so it returns at once."""
        ...


class Output:
    """A request's tokens as they come, and how it ended: written by who runs the worker alone, read by any.

    There is no lock. A waiting thread hangs up a bell of its own, then looks at the output, and waits for the bell only
    if what it wants is not there; who runs the worker first writes, then rings. So no ring is missed, and a thread
    whose wait is broken off (Ctrl-C) does not block the others.

    Parameters
    ----------
    request : Request
        Its `output_token_ids` grow.
    wait : callable
        Waits until a bell has rung, or raises TimeoutError at a time of the monotonic clock: `Driver.wait`.
    text : OutputText or None
        The text in which stop strings are looked for.

    Attributes
    ----------
    end : RequestRecord, exception or None
        How the request ended: its record, or the error that ended the session; None as long as it goes on. No token
        comes after it.
    """

    def __init__(self, request: Request, wait: Callable[[Bell, float], None], text: OutputText | None) -> None:
        self.request, self.wait, self.text = request, wait, text
        self.end: RequestRecord | BaseException | None = None
        self._bells: list[Rung] = []  # rung at each token and at the end
        self._end_bells: list[Rung] = []

    def hang(self, bell: Rung, only_end: bool) -> None:
        """Have a bell rung from now on: at the end and, unless `only_end`, at each token."""
        (self._end_bells if only_end else self._bells).append(bell)

    def unhang(self, bell: Rung, only_end: bool) -> None:
        """Have a bell rung no more."""
        (self._end_bells if only_end else self._bells).remove(bell)

    def ring(self) -> None:
        """Tells the waiting threads that there is a new token."""
        for bell in tuple(self._bells):  # others hang and unhang meanwhile
            bell.put(None)

    def finish(self, end: RequestRecord | BaseException) -> None:
        """Stores how the request ended, and tells all waiting threads."""
        self.end = end
        for bell in (*self._bells, *self._end_bells):
            bell.put(None)


def news(outputs: Sequence[Output], only_end: bool = False, timeout_s: float | None = None) -> Iterator[bool]:
    """Yields whether all outputs are over: first at once, then whenever tokens may have come, last when all are over.

    The outputs are of one session.

    Raises
    ------
    TimeoutError
        Not all are over within the time.
    """
    bell = Bell()
    until_s = math.inf if timeout_s is None else monotonic() + timeout_s
    for output in outputs:
        output.hang(bell, only_end)
    try:
        while any(output.end is None for output in outputs):
            yield False
            outputs[0].wait(bell, until_s)
        yield True
    finally:
        for output in outputs:
            output.unhang(bell, only_end)


def listen(bell: Bell, until_s: float) -> None:
    """Waits for the bell, and takes all rings that are there, for one look at the output answers them all.

    Raises
    ------
    TimeoutError
        It has not rung by that time of the monotonic clock.
    """
    try:
        bell.get(timeout=min(max(0.0, until_s - monotonic()), TIMEOUT_MAX))
    except Empty:
        raise TimeoutError("the request is not over within the time") from None
    while not bell.empty():
        bell.get()
