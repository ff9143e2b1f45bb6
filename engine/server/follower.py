"""Follows requests of a session from an event loop: their tokens, their ends, and whether the client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from starlette.types import Receive

from engine.server.event_stream import until_gone
from engine.server.wakeups import Wakeups
from engine.session.generation import Generation


class Follower:
    """Follows the generations of one HTTP request, and aborts them when its client goes.

    Parameters
    ----------
    generations : sequence of Generation
    receive : Receive
        Says when the client has gone; the body has been read.
    wakeups : Wakeups
        Of the running event loop.
    on_over : callable
        Called once, in the loop, when all generations have ended, however slowly the client reads.

    Attributes
    ----------
    is_gone : bool
        Whether the client has gone.
    is_broken_off : bool
        Whether the server ends, and waits for the generations no more.
    """

    def __init__(
        self,
        generations: Sequence[Generation],
        receive: Receive,
        wakeups: Wakeups,
        on_over: Callable[[], object],
    ) -> None:
        self.generations, self.is_gone, self.is_broken_off = generations, False, False
        self._wakeups, self._on_over = wakeups, on_over
        self._event, self._is_told, self._hung = asyncio.Event(), False, ExitStack()
        for generation in generations:
            self._hung.enter_context(generation.ringing(self))
        self._watch = asyncio.create_task(self._until_gone(receive))
        self._event.set()

    @property
    def is_over(self) -> bool:
        """Whether all generations have ended."""
        return all(generation.is_over for generation in self.generations)

    def put(self, item: None, /) -> None:
        """Takes a ring of the session's, in its thread."""
        self._wakeups.call(self._look)

    async def news(self) -> bool:
        """Waits until tokens may have come since it was asked last, at first not at all; returns whether they are all.

        They are where all have ended, the client has gone or the server breaks off.
        """
        await self._event.wait()
        self._event.clear()
        return self._tell() or self.is_gone or self.is_broken_off

    async def until(self, is_enough: Callable[[], bool]) -> None:
        """Waits until it is enough, or until the end; what has come by then is news still."""
        while not (await self.news() or is_enough()):
            pass
        self._event.set()

    def break_off(self) -> None:
        """Ends what is not over, and has nobody wait for that."""
        self.is_broken_off = True
        self._abort()
        self._event.set()

    def close(self) -> None:
        """Ends what is not over, and follows no more."""
        self._watch.cancel()
        self._abort()
        self._tell()

    def _abort(self) -> None:
        for generation in self.generations:
            generation.abort()

    def _look(self) -> None:
        self._event.set()
        self._tell()

    def _tell(self) -> bool:
        """Whether all have ended, which is told once: before a client reads the end, so that its place is free then."""
        if not self.is_over:
            return False
        if not self._is_told:
            self._is_told = True
            self._hung.close()
            self._on_over()
        return True

    async def _until_gone(self, receive: Receive) -> None:
        await until_gone(receive)
        self._abort()
        self.is_gone = True
        self._event.set()
