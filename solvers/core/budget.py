"""How much longer a method may work: seconds, or a deterministic count."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TypeVar

from aptsched.support.checks import as_float, is_count
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

Found = TypeVar("Found")
MOST = 2**62  # more work than any


class Budget:
    """A limit in seconds, in work, or in both; it is reached when the first of the two is."""

    def __init__(self, time_limit_s: float | None, max_work: int | None) -> None:
        if time_limit_s is not None and (isinstance(time_limit_s, bool) or not as_float(time_limit_s) > 0):
            raise InputError(f"time_limit_s: {shown(time_limit_s)} is not accepted; seconds above 0 are")
        if max_work is not None and not is_count(max_work, 0, math.inf):
            raise InputError(f"max_work: {shown(max_work)} is not accepted; a count of at least 0 is")
        self.deadline = math.inf if time_limit_s is None else time.perf_counter() + time_limit_s
        self.left = MOST if max_work is None else max_work

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
