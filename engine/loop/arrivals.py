"""The requests to come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from aptsched.support.errors import InputError
from engine.state.request import Request, check_request


class Arrivals:
    """Requests in order of arrival; the next one is taken from the iterable only when it is needed.

    If the iterable raises an error, no request comes after it.
    """

    def __init__(self, requests: Iterable[Request]) -> None:
        if not isinstance(requests, Iterable):
            raise InputError(f"requests: {type(requests).__name__} is not accepted; several, one after the other, are")
        self._rest = iter(requests)
        self._next: Request | None = None
        self._due_s = -math.inf

    @property
    def next_s(self) -> float:
        """When the next request arrives; infinite if none is left.

        A request whose arrival is no number is due at once, so that it is refused at once.
        """
        if self._next is None and self._due_s < math.inf:
            self._look()
        return self._due_s

    def until(self, time_s: float) -> Iterator[Request]:
        """Yields the requests that arrive up to that time; each is removed only when the next one is asked for."""
        while self.next_s <= time_s and self._next is not None:
            yield self._next
            self._next = None

    def rest(self) -> Iterator[Request]:
        """Yields and removes all requests that are left."""
        while self.next_s < math.inf and self._next is not None:
            request, self._next = self._next, None
            yield request

    def _look(self) -> None:
        rest, self._rest, self._due_s = self._rest, iter(()), math.inf
        for given in rest:
            self._rest, self._due_s = rest, -math.inf
            check_request(given)
            self._next = given
            if math.isfinite(given.arrived_at_s):
                self._due_s = given.arrived_at_s
            break
