"""How much longer a method may work: seconds, or a deterministic count."""

from __future__ import annotations

import math
import time

from aptsched.support.compiled import is_fast
from aptsched.support.errors import InputError

PER_SECOND = 20_000_000 if is_fast() else 300_000  # work that a second is enough for, about
MOST = 2**62  # more work than any


class Budget:
    """A limit in seconds, in work, or in both; it is reached when the first of the two is."""

    def __init__(self, time_limit_s: float | None, max_work: int | None) -> None:
        if time_limit_s is not None and not time_limit_s > 0:
            raise InputError(f"time_limit_s: {time_limit_s} is not accepted; seconds above 0 are")
        if max_work is not None and max_work < 0:
            raise InputError(f"max_work: {max_work} is not accepted; a count of at least 0 is")
        self.deadline = math.inf if time_limit_s is None else time.perf_counter() + time_limit_s
        self.left = MOST if max_work is None else max_work

    @property
    def at_once(self) -> int:
        """The work that may be done before the limits are looked at again; below 0 where one is reached."""
        return int(min(self.left, (self.deadline - time.perf_counter()) * PER_SECOND))
