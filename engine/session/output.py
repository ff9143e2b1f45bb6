"""What has come of a request of a session so far, and who waits for more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from time import monotonic

from aptsched.scheduling.record import RequestRecord
from engine.session.output_text import OutputText
from engine.state.request import Request


class Output:
    """A request whose tokens come, and how it ended: written by the session's thread alone, read by any.

    There is no lock. Who waits hangs up a bell of its own, then looks, and waits for the bell only if what it wants is
    not there; the session's thread writes first, and rings then. So no ring is missed, and one whose waiting is broken
    off (Ctrl-C) keeps nobody else waiting.

    Parameters
    ----------
    request : Request
        Its `output_token_ids` grow.
    text : OutputText, optional
        In which the session's thread looks for stop strings.

    Attributes
    ----------
    end : RequestRecord, exception or None
        How it ended: its record, or what ended the session; None as long as it goes on. No token comes after it.
    """

    def __init__(self, request: Request, text: OutputText | None = None) -> None:
        self.request, self.text = request, text
        self.end: RequestRecord | BaseException | None = None
        self._bells: list[SimpleQueue[None]] = []  # rung at each token and at the end
        self._end_bells: list[SimpleQueue[None]] = []

    def hang(self, bell: SimpleQueue[None], only_end: bool) -> None:
        """From now on the bell is rung at the end, and at each token before it unless that is all that is asked."""
        (self._end_bells if only_end else self._bells).append(bell)

    def unhang(self, bell: SimpleQueue[None], only_end: bool) -> None:
        """The bell is rung no more."""
        (self._end_bells if only_end else self._bells).remove(bell)

    def ring(self) -> None:
        """Tells who waits that there is a token."""
        for bell in tuple(self._bells):  # others hang and unhang meanwhile
            bell.put(None)

    def finish(self, end: RequestRecord | BaseException) -> None:
        """Says how it ended, and tells all who wait."""
        self.end = end
        for bell in (*self._bells, *self._end_bells):
            bell.put(None)


def news(outputs: Sequence[Output], only_end: bool = False, timeout_s: float | None = None) -> Iterator[bool]:
    """Yields whether all are over: at once, whenever tokens may have come, and for the last time when they are.

    Raises
    ------
    TimeoutError
        They are not over within the time.
    """
    bell: SimpleQueue[None] = SimpleQueue()
    until_s = None if timeout_s is None else monotonic() + timeout_s
    for output in outputs:
        output.hang(bell, only_end)
    try:
        while any(output.end is None for output in outputs):
            yield False
            _wait(bell, until_s)
        yield True
    finally:
        for output in outputs:
            output.unhang(bell, only_end)


def _wait(bell: SimpleQueue[None], until_s: float | None) -> None:
    """Waits for the bell; takes all rings that are there, for one look is enough for them."""
    try:
        bell.get(timeout=None if until_s is None else max(0.0, until_s - monotonic()))
    except Empty:
        raise TimeoutError("the request is not over within the time") from None
    while not bell.empty():
        bell.get()
