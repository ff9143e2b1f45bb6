"""How much longer a method may work: seconds, or a deterministic count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

from aptsched.support import checks

Found = TypeVar("Found")
MOST = 2**62  # more work than any


class Budget:
    """A limit in seconds, in work, or in both; it is reached when the first of the two is."""

    def __init__(self, time_limit_s: float | None, max_work: int | None) -> None:
        self.deadline = time.perf_counter() + checks.time_limit(time_limit_s)
        self.left = MOST if max_work is None else checks.limit("max_work", max_work)

    def is_late(self) -> bool:
        """Whether the limit in seconds is reached."""
        return time.perf_counter() >= self.deadline

    def last(self, found: Iterator[Found]) -> Found:
        """What is found in the end or, where the limit in seconds is reached, by then."""
        for each in found:
            latest = each
            if self.is_late():
                break
        return latest
