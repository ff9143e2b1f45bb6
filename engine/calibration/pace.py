"""Compares how long iterations take with what the calibration predicts."""

from __future__ import annotations

import math

from aptsched.scheduling.forms import KV, CacheShape, sums_by_form
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.arrays import above_0, count_of
from engine.state.batch import Batch, Executor, Step

OFF = 0.5  # relative deviation from the calibration from which on a run has a notice of it


class Pace:
    """Runs batches on another executor, and adds up their actual and their predicted times.

    Iterations that convert or swap are left out, as `IterationTime` does not predict those.

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
        """Actual over predicted seconds of all iterations; nan where nothing was predicted."""
        return self._took_s / self._predicted_s if self._predicted_s > 0 else math.nan

    def run(self, batch: Batch) -> Step:
        """Run the batch on the executor, and count its time."""
        step = self._executor.run(batch)
        if len(batch.requests) and not batch.conversions and not batch.num_swapped_blocks:
            self._took_s += step.duration_s
            self._predicted_s += self._predict(batch)
        return step

    def _predict(self, batch: Batch) -> float:
        kv_blocks = sums_by_form(batch.form, self._cache.blocks(batch.start + batch.num_tokens, KV))
        decodes = count_of(batch.feeds_one & above_0(batch.start))
        return self._times.predict(int(batch.num_tokens.sum()), int(batch.start.sum()), kv_blocks, decodes)


def is_off(ratio: float) -> bool:
    """Whether iterations took at least 1.5 times or at most 0.5 times as long as predicted."""
    return abs(ratio - 1) >= OFF
