"""Wakes an event loop for tokens that come in another thread: once for all tokens of an iteration."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from contextlib import suppress


class Wakeups:
    """Calls functions in an event loop, asked from any thread.

    The loop is woken by a system call; while one is on its way, others need none. So a batch of tokens costs one.

    Parameters
    ----------
    loop : AbstractEventLoop
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: deque[Callable[[], object]] = deque()
        self._is_coming = False

    def call(self, function: Callable[[], object]) -> None:
        """Has a function called soon in the loop; nothing happens once that is closed."""
        self._asked.append(function)
        if not self._is_coming:
            self._is_coming = True
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._come)

    def _come(self) -> None:
        self._is_coming = False  # before looking: what is asked for after that comes by a call of its own
        while self._asked:
            self._asked.popleft()()
