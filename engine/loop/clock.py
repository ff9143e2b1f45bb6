"""Time that passes, and time that is computed."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Protocol

from aptsched.support import checks


class Clock(Protocol):
    """Seconds since its start; they never go back."""

    def now_s(self) -> float:
        """The time."""
        ...

    def advance(self, duration_s: float) -> None:
        """Lets an iteration take its time."""
        ...

    def wait_until(self, time_s: float) -> None:
        """Returns when it is that time or later."""
        ...

    def scheduling_s(self, num_requests: int) -> float | None:
        """Modelled seconds of scheduling with so many unfinished requests; None where real time passes."""
        ...


class WallClock:
    """Real time since the clock was made."""

    def __init__(self) -> None:
        self._start_s = time.perf_counter()

    def now_s(self) -> float:
        """The time."""
        return time.perf_counter() - self._start_s

    def advance(self, duration_s: float) -> None:
        """Nothing: the time has passed by itself."""

    def wait_until(self, time_s: float) -> None:
        """Sleeps."""
        while (left_s := time_s - self.now_s()) > 0:
            time.sleep(left_s)

    def scheduling_s(self, num_requests: int) -> None:
        """Nothing is modelled."""


@dataclass(frozen=True)
class SchedulingTime:
    """What scheduling takes under a computed clock, whatever the policy: a constant and a slope, never measured.

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


class VirtualClock:
    """Computed time, from 0 on.

    Parameters
    ----------
    scheduling : SchedulingTime, optional
        Without it scheduling takes no time.
    """

    def __init__(self, scheduling: SchedulingTime | None = None) -> None:
        self._now_s = 0.0
        self._scheduling = scheduling or SchedulingTime(0.0, 0.0)

    def now_s(self) -> float:
        """The time."""
        return self._now_s

    def advance(self, duration_s: float) -> None:
        """Moves on by the duration of an iteration."""
        assert 0 <= duration_s < math.inf, f"an iteration of {duration_s} s"
        self._now_s += duration_s

    def wait_until(self, time_s: float) -> None:
        """Moves on to that time; if it is past, nothing happens."""
        assert time_s < math.inf, f"waiting until {time_s} s"
        self._now_s = max(self._now_s, time_s)

    def scheduling_s(self, num_requests: int) -> float:
        """The constant and the slope."""
        return self._scheduling.fixed_s + self._scheduling.per_request_s * num_requests
