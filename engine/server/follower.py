"""Follows requests of a session from an event loop: their tokens, their ends, and whether the client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack

from starlette.types import Receive

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
    """

    def __init__(
        self,
        generations: Sequence[Generation],
        receive: Receive,
        wakeups: Wakeups,
        on_over: Callable[[], object],
    ) -> None:
        self.generations, self.is_gone = generations, False
        self._wakeups, self._on_over = wakeups, on_over
        self._event, self._is_told, self._hung = asyncio.Event(), False, ExitStack()
        for generation in generations:
            self._hung.enter_context(generation.ringing(self))
        self._watch = asyncio.create_task(self._until_gone(receive))
        self._look()

    @property
    def is_over(self) -> bool:
        """Whether all generations have ended."""
        return all(generation.is_over for generation in self.generations)

    def put(self, item: None, /) -> None:
        """Takes a ring of the session's, in its thread."""
        self._wakeups.call(self._look)

    async def until(self, is_enough: Callable[[], bool]) -> None:
        """Waits until it is enough, or the client has gone; looks whenever tokens may have come."""
        while True:
            self._event.clear()
            if self.is_gone or is_enough():
                return
            await self._event.wait()

    async def news(self) -> AsyncIterator[None]:
        """Yields whenever tokens may have come: at once first, last when all are over; not once the client has gone."""
        while not self.is_gone:
            self._event.clear()
            is_over = self.is_over
            yield
            if is_over:
                return
            await self._event.wait()

    def abort(self) -> None:
        """Ends what is not over, without waiting."""
        for generation in self.generations:
            generation.abort()

    def close(self) -> None:
        """Ends what is not over, and follows no more."""
        self._watch.cancel()
        self.abort()

    def _look(self) -> None:
        self._event.set()
        if not self._is_told and self.is_over:
            self._is_told = True
            self._hung.close()
            self._on_over()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        self.abort()
        self._event.set()
