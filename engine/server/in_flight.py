"""How many requests are in the server at once: a bound, and when to come again."""

from __future__ import annotations

from collections import deque

LAST = 64  # requests by whose ends it is known how fast places become free
LONGEST_S = 60.0


class InFlight:
    """Counts the requests that are in the server, waiting or running; used by the event loop's thread alone.

    A request counts from when its body is read until it has ended in the engine, however slowly its client reads.

    Parameters
    ----------
    max_requests : int
    """

    def __init__(self, max_requests: int) -> None:
        self.max_requests, self.num_requests = max_requests, 0
        self._left_at_s: deque[float] = deque(maxlen=LAST)

    def enter(self, num_requests: int) -> bool:
        """Takes places for so many, if they are free; returns whether they were."""
        if self.num_requests + num_requests > self.max_requests:
            return False
        self.num_requests += num_requests
        return True

    def leave(self, num_requests: int, now_s: float) -> None:
        """Gives places back."""
        self.num_requests -= num_requests
        self._left_at_s.extend([now_s] * num_requests)

    def retry_after_s(self, num_requests: int) -> float:
        """In about how many seconds so many places are free, by how fast the last ones were left: from 1 to 60."""
        left = self._left_at_s
        if len(left) < 2 or left[-1] <= left[0]:
            return 1.0
        return min(max(num_requests * (left[-1] - left[0]) / (len(left) - 1), 1.0), LONGEST_S)
