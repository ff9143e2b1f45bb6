"""The requests to come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from aptsched.errors import InputError
from engine.request import Request


class Arrivals:
    """Requests in order of arrival, with the next one in sight; what is iterated over is asked only when it is needed.

    If asking for the next one raises, there is none after it.
    """

    def __init__(self, requests: Iterable[Request]) -> None:
        self._rest = iter(requests)
        self._next: Request | None = None

    @property
    def next_s(self) -> float:
        """When the next one arrives; infinite where none is left."""
        request = self._peek()
        return math.inf if request is None else due_s(request)

    def until(self, time_s: float) -> Iterator[Request]:
        """Those that arrive up to that time; each is taken once the one who iterates asks for the next."""
        while (request := self._peek()) is not None and due_s(request) <= time_s:
            yield request
            self._next = None

    def rest(self) -> Iterator[Request]:
        """Takes all that are left."""
        while (request := self._peek()) is not None:
            self._next = None
            yield request

    def _peek(self) -> Request | None:
        if self._next is None:
            rest, self._rest = self._rest, iter(())
            for given in rest:
                self._rest = rest
                if not isinstance(given, Request):
                    raise InputError(f"requests: {type(given).__name__} is not accepted; each is a Request")
                self._next = given
                break
        return self._next


def due_s(request: Request) -> float:
    """When the request is to be added: at once where its arrival is no time, so that it is refused at once."""
    return request.arrived_at_s if math.isfinite(request.arrived_at_s) else -math.inf
