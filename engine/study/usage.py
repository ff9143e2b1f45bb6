"""What the iterations of a run came to: memory by form, certified gaps, time spent on scheduling."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.loop.iteration import Iteration
from engine.study.timeline import Point, Timeline


@dataclass(frozen=True)
class Usage:
    """Sums over the iterations of a run.

    Attributes
    ----------
    num_blocks : int
        Of the pool.
    num_iterations, num_prefill_tokens, num_decode_tokens : int
        A token fed again after a preemption counts again.
    num_swapped_blocks : int
        Copied to the host or from it.
    busy_s : float
        Of all iterations, on the clock of the run.
    scheduling_s : float
        Real seconds of that in which the executor did not run.
    kv_block_s, hidden_block_s : float
        Blocks times seconds that were held in each form.
    num_certified : int
        Iterations whose decision has a certificate.
    gap_mean, gap_worst : float or None
        The certified gaps of those; None where there are none.
    timeline : tuple of Point
    """

    num_blocks: int
    num_iterations: int
    num_prefill_tokens: int
    num_decode_tokens: int
    num_swapped_blocks: int
    busy_s: float
    scheduling_s: float
    kv_block_s: float
    hidden_block_s: float
    num_certified: int
    gap_mean: float | None
    gap_worst: float | None
    timeline: tuple[Point, ...]

    @property
    def scheduling_share(self) -> float:
        """Of the time of the iterations; nan without any."""
        return self.scheduling_s / self.busy_s if self.busy_s > 0 else math.nan

    @property
    def kv_share(self) -> float:
        """Of the pool's blocks times the time of the iterations, what was in KV form; nan without any."""
        return self._share(self.kv_block_s)

    @property
    def hidden_share(self) -> float:
        """The same of the hidden form."""
        return self._share(self.hidden_block_s)

    def _share(self, block_s: float) -> float:
        return block_s / (self.num_blocks * self.busy_s) if self.busy_s > 0 else math.nan


class UsageMeter:
    """Adds up iterations, in memory that does not grow with their number."""

    def __init__(self, num_blocks: int) -> None:
        self._num_blocks = num_blocks
        self._num_iterations = self._num_prefill_tokens = self._num_decode_tokens = self._num_certified = 0
        self._num_swapped_blocks = 0
        self._busy_s = self._scheduling_s = self._kv_block_s = self._hidden_block_s = self._gaps = 0.0
        self._gap_worst = 0.0
        self._timeline = Timeline()

    def add(self, iteration: Iteration) -> None:
        """One more iteration."""
        it, gap = iteration, iteration.gap
        self._num_iterations += 1
        self._num_prefill_tokens += it.num_prefill_tokens
        self._num_decode_tokens += it.num_decode_tokens
        self._num_swapped_blocks += it.num_swapped_blocks
        self._busy_s += it.duration_s
        self._scheduling_s += it.scheduling_s
        self._kv_block_s += it.duration_s * it.num_kv_blocks
        self._hidden_block_s += it.duration_s * it.num_hidden_blocks
        self._timeline.add(it.start_s, it.duration_s, it.num_kv_blocks, it.num_hidden_blocks, it.num_waiting)
        if gap is not None:
            self._num_certified += 1
            self._gaps += gap
            self._gap_worst = max(self._gap_worst, gap)

    def usage(self) -> Usage:
        """What it came to so far."""
        certified = self._num_certified > 0
        return Usage(
            num_blocks=self._num_blocks,
            num_iterations=self._num_iterations,
            num_prefill_tokens=self._num_prefill_tokens,
            num_decode_tokens=self._num_decode_tokens,
            num_swapped_blocks=self._num_swapped_blocks,
            busy_s=self._busy_s,
            scheduling_s=self._scheduling_s,
            kv_block_s=self._kv_block_s,
            hidden_block_s=self._hidden_block_s,
            num_certified=self._num_certified,
            gap_mean=self._gaps / self._num_certified if certified else None,
            gap_worst=self._gap_worst if certified else None,
            timeline=self._timeline.points(),
        )
