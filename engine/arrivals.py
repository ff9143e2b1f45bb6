"""The requests to come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from engine.request import Request


class Arrivals:
    """Requests in order of arrival, with the next one in sight."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._rest = iter(requests)
        self._next = next(self._rest, None)

    @property
    def next_s(self) -> float:
        """When the next one arrives; infinite where none is left."""
        return math.inf if self._next is None else self._next.arrived_at_s

    def until(self, time_s: float) -> Iterator[Request]:
        """Takes those that arrive up to that time."""
        while self._next is not None and self._next.arrived_at_s <= time_s:
            arrived, self._next = self._next, next(self._rest, None)
            yield arrived
