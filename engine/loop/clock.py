"""Clocks of real and of computed time: seconds from 0 on, which never go back."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy.typing as npt

from aptsched.support import checks

Number = TypeVar("Number", float, npt.NDArray[Any])


class WallClock:
    """Real time since the clock was made."""

    def __init__(self) -> None:
        self._start_s = time.perf_counter()

    def now_s(self) -> float:
        """The time."""
        return time.perf_counter() - self._start_s

    def wait_until(self, time_s: float) -> None:
        """Sleeps until that time."""
        while (left_s := time_s - self.now_s()) > 0:
            time.sleep(left_s)


class VirtualClock:
    """Computed time from 0 on: waiting takes no real time, it moves the clock on."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        """The time."""
        return self._now_s

    def wait_until(self, time_s: float) -> None:
        """Moves the clock on to that time; does nothing if it is past."""
        assert time_s < math.inf, f"waiting until {time_s} s"
        self._now_s = max(self._now_s, time_s)


@dataclass(frozen=True)
class SchedulingTime:
    """The time of scheduling on a computed clock, the same for every policy: a constant and a slope, not measured.

    Parameters
    ----------
    fixed_s : float
        For each iteration. The default is about the time of view, decision, pool and record on a CPU core.
    per_request_s : float
        For each unfinished request: about the time of the greedy.
    """

    fixed_s: float = 3e-4
    per_request_s: float = 3e-7

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            checks.seconds(f"scheduling, {name}", value)

    def seconds(self, num_requests: Number) -> Number:
        """Seconds of scheduling in an iteration with so many unfinished requests, or of each of several."""
        return self.fixed_s + self.per_request_s * num_requests
