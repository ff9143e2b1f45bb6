"""Time that passes, and time that is computed: seconds from 0 on, which never go back."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass

from aptsched.support import checks


class WallClock:
    """Real time since the clock was made."""

    def __init__(self) -> None:
        self._start_s = time.perf_counter()

    def now_s(self) -> float:
        """The time."""
        return time.perf_counter() - self._start_s

    def wait_until(self, time_s: float) -> None:
        """Sleeps."""
        while (left_s := time_s - self.now_s()) > 0:
            time.sleep(left_s)


class VirtualClock:
    """Computed time, from 0 on: waiting takes none, it moves the time on."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        """The time."""
        return self._now_s

    def wait_until(self, time_s: float) -> None:
        """Moves on to that time; if it is past, nothing happens."""
        assert time_s < math.inf, f"waiting until {time_s} s"
        self._now_s = max(self._now_s, time_s)


@dataclass(frozen=True)
class SchedulingTime:
    """What scheduling takes on a computed clock, whatever the policy: a constant and a slope, never measured.

    Parameters
    ----------
    fixed_s : float
        Of each iteration. The default is about what view, decision, pool and record take here on a CPU core.
    per_request_s : float
        For each unfinished request: about what the greedy takes.
    """

    fixed_s: float = 3e-4
    per_request_s: float = 3e-7

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            checks.seconds(f"scheduling, {name}", value)

    def seconds(self, num_requests: int) -> float:
        """Of an iteration with so many unfinished requests."""
        return self.fixed_s + self.per_request_s * num_requests


NO_SCHEDULING_TIME = SchedulingTime(0.0, 0.0)
