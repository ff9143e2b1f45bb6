"""The bounds of a seed's requests as a task for a process."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from aptsched.scheduling.forms import CacheForm
from engine.capacities.bound import Pool, bound_per_s
from engine.capacities.case import Arrivals
from engine.study.replay import Replay
from engine.study.served_run import FailedRun


@dataclass(frozen=True, eq=False)
class Bounded:
    """The bounds of one seed's requests, [l], for policies that give these forms."""

    arrivals: Arrivals
    forms: tuple[CacheForm | int, ...]
    bounds_per_s: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Bounding:
    """The task of finding the bounds of one seed's requests; it can be pickled, like its result."""

    arrivals: Arrivals
    pool: Pool
    levels: tuple[float, ...]
    size: int = 1

    def attempt(self, progress: Callable[[int], None]) -> tuple[Bounded | FailedRun | None, bool]:
        """The bounds, and that nothing ended their search."""
        setting = self.arrivals.setting

        def replay_at(rate_per_s: float) -> Replay:
            return self.arrivals.at(rate_per_s, self.pool.cost)

        found = [bound_per_s(replay_at, setting.warmup_s, level, setting.by_p99, self.pool) for level in self.levels]
        return Bounded(self.arrivals, tuple(self.pool.forms), tuple(found)), False

    def failed(self, reason: str) -> FailedRun:
        """The failure, for when its process has ended."""
        return FailedRun("bound", math.nan, f"the bound: {reason}")
