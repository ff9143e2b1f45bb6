"""How long iterations take, against what the calibration says."""

from __future__ import annotations

import math

from aptsched.scheduling.forms import KV, CacheShape, sums_by_form
from aptsched.scheduling.iteration_time import IterationTime
from engine.state.batch import Batch, Executor, Step

OFF = 0.5  # of what the calibration says: a run whose iterations are off by so much says so


class Pace:
    """Runs another executor's batches, and adds up what they take and what they were predicted to take.

    Iterations that convert or swap are left out: `IterationTime` does not say what these take.

    Parameters
    ----------
    executor : Executor
    times : IterationTime
        As calibrated.
    cache : CacheShape
    """

    def __init__(self, executor: Executor, times: IterationTime, cache: CacheShape) -> None:
        self._executor, self._times, self._cache = executor, times, cache
        self._took_s = self._predicted_s = 0.0

    @property
    def ratio(self) -> float:
        """Seconds that the iterations took, over those that were predicted; nan of nothing."""
        return self._took_s / self._predicted_s if self._predicted_s > 0 else math.nan

    def run(self, batch: Batch) -> Step:
        """What the executor gives."""
        step = self._executor.run(batch)
        if len(batch.requests) and not batch.conversions and not batch.num_swapped_blocks:
            self._took_s += step.duration_s
            self._predicted_s += self._predict(batch)
        return step

    def _predict(self, batch: Batch) -> float:
        kv_blocks = sums_by_form(batch.form, self._cache.blocks(batch.start + batch.num_tokens, KV))
        return self._times.predict(int(batch.num_tokens.sum()), int(batch.start.sum()), kv_blocks)


def is_off(ratio: float) -> bool:
    """Whether iterations took half as long again as predicted or more, or half as long or less."""
    return abs(ratio - 1) >= OFF
