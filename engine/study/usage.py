"""Sums over the iterations of a run: memory by form, certified gaps, time spent on scheduling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aptsched.scheduling.forms import NUM_FORMS, CacheForm, FormEntry, shown_forms
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Floats
from engine.loop.iteration import Iteration
from engine.simulator.stretch import Fed, Stretch, lone
from engine.study.timeline import Timeline, TimelinePoint, added_in_order

MAX_STRETCHES = 64  # that are added up together


@dataclass(frozen=True)
class Usage:
    """Sums over the iterations of a run that began after the warm-up.

    Attributes
    ----------
    num_blocks : int
        Blocks of the pool.
    num_warmup_iterations : int
        Those before, which are not in the sums.
    num_iterations, num_prefill_tokens, num_decode_tokens : int
        A token fed again after a preemption counts again.
    num_swapped_blocks : int
        Blocks copied to the host or from it.
    busy_s : float
        Time of all iterations, on the clock of the run.
    scheduling_s : float
        Part of that in which the executor did not run.
    block_s_by_form : tuple of float, [f]
        Blocks times seconds that were held in each form.
    num_certified : int
        Iterations whose decision has a certificate.
    gap_mean, gap_worst : float or None
        Mean and largest certified gap of these iterations; None where there are none.
    timeline : tuple of TimelinePoint
        Of the whole run, its warm-up too.
    """

    num_blocks: int
    num_warmup_iterations: int
    num_iterations: int
    num_prefill_tokens: int
    num_decode_tokens: int
    num_swapped_blocks: int
    busy_s: float
    scheduling_s: float
    block_s_by_form: tuple[float, ...]
    num_certified: int
    gap_mean: float | None
    gap_worst: float | None
    timeline: tuple[TimelinePoint, ...]

    @property
    def is_begun(self) -> bool:
        """Whether there was any iteration."""
        return self.num_warmup_iterations + self.num_iterations > 0

    @property
    def scheduling_share(self) -> float:
        """Share of the iterations' time spent on scheduling; nan without any."""
        return self.scheduling_s / self.busy_s if self.busy_s > 0 else math.nan

    def share_of(self, form: CacheForm) -> float:
        """Share of the pool, over the iterations' time, held in that form; nan without any."""
        return self.block_s_by_form[form] / (self.num_blocks * self.busy_s) if self.busy_s > 0 else math.nan

    @property
    def forms(self) -> list[FormEntry]:
        """The forms that tables and files show: all lossless ones, and the lossy ones that were in use."""
        return shown_forms(self.block_s_by_form)


class UsageMeter:
    """Adds up iterations, in memory that does not grow with their number.

    Parameters
    ----------
    num_blocks : int
        Blocks of the pool.
    warmup_s : float
        Iterations that begin earlier are not in the sums.
    """

    def __init__(self, num_blocks: int, warmup_s: float = 0.0) -> None:
        self._num_blocks, self._warmup_s, self._num_warmup_iterations = num_blocks, warmup_s, 0
        self._num_iterations = self._num_prefill_tokens = self._num_decode_tokens = self._num_certified = 0
        self._num_swapped_blocks = 0
        self._busy_s = self._scheduling_s = self._gaps = 0.0
        self._block_s_by_form = [0.0] * NUM_FORMS
        self._gap_worst = 0.0
        self._timeline = Timeline()
        # not in the sums yet
        self._added, self._decisions = list[Iteration | Stretch](), list[tuple[int, float, int]]()

    def add(self, added: Iteration | Stretch) -> None:
        """Add an iteration, or those of a stretch, to the same sums as one by one."""
        self._added.append(added)
        if len(self._added) == MAX_STRETCHES:
            self._add_up()

    def add_decision(self, number: int, gap: float, num_iterations: int) -> None:
        """Add the certified gap of a decision, once the iterations that it was for, from that number on, are added."""
        self._decisions.append((number, gap, num_iterations))

    def _add_up(self) -> None:
        """Add the iterations and the decisions that are not in the sums yet."""
        if self._added:
            self._add_iterations([lone(each) if isinstance(each, Iteration) else each for each in self._added])
        for decision in self._decisions:
            self._add_gap(*decision)
        self._added, self._decisions = [], []

    def _add_iterations(self, stretches: list[Stretch]) -> None:
        """Add the iterations of these stretches, one after the other."""
        end_s = np.concatenate([each.end_s for each in stretches])
        start_s, amounts = np.empty_like(end_s), np.empty((3 + NUM_FORMS, len(end_s)))
        start_s[1:] = end_s[:-1]
        counts = [len(each) for each in stretches]
        start_s[np.cumsum([0, *counts[:-1]])] = [each.first.start_s for each in stretches]
        duration_s = np.subtract(end_s, start_s, out=amounts[1])
        held = np.concatenate([each.num_blocks_by_form for each in stretches])
        np.multiply(duration_s, held.T, out=amounts[3:])
        np.multiply(duration_s, np.concatenate([each.num_waiting for each in stretches]), out=amounts[0])
        np.concatenate([each.scheduling_s for each in stretches], out=amounts[2])
        self._timeline.add_many(start_s, amounts)
        self._add_sums(stretches, start_s, amounts[1:])

    def _add_sums(self, stretches: list[Stretch], start_s: Floats, amounts: Floats) -> None:
        """Add what comes after the warm-up: of each iteration its seconds, those of scheduling, those times blocks."""
        num_before = int(start_s.searchsorted(self._warmup_s))
        self._num_warmup_iterations += num_before
        self._num_iterations += len(start_s) - num_before
        self._num_decode_tokens += sum_of(np.concatenate([each.num_seqs for each in stretches])[num_before:])
        place = 0  # of the first of a stretch
        for each in stretches:
            of_first: tuple[int, Iteration | Fed] = (0, each.first)
            for at, fed in (of_first, *each.fed.items()):
                if place + at >= num_before:
                    self._num_prefill_tokens += fed.num_prefill_tokens
                    self._num_decode_tokens += fed.num_decode_tokens - each.num_seqs[at].item()
            if place >= num_before:
                self._num_swapped_blocks += each.first.num_swapped_blocks
            place += len(each)
        self._busy_s, self._scheduling_s, *self._block_s_by_form = added_in_order(
            [self._busy_s, self._scheduling_s, *self._block_s_by_form], amounts[:, num_before:]
        )

    def _add_gap(self, number: int, gap: float, num_iterations: int) -> None:
        """Add the gap of a decision, all of whose iterations are in the sums."""
        self._timeline.add_gap(number, gap, num_iterations)
        counted = num_iterations - min(max(self._num_warmup_iterations - number, 0), num_iterations)
        if counted:
            self._num_certified += counted
            self._gaps += gap * counted
            self._gap_worst = max(self._gap_worst, gap)

    def usage(self) -> Usage:
        """The sums so far."""
        self._add_up()
        certified = self._num_certified > 0
        return Usage(
            num_blocks=self._num_blocks,
            num_warmup_iterations=self._num_warmup_iterations,
            num_iterations=self._num_iterations,
            num_prefill_tokens=self._num_prefill_tokens,
            num_decode_tokens=self._num_decode_tokens,
            num_swapped_blocks=self._num_swapped_blocks,
            busy_s=self._busy_s,
            scheduling_s=self._scheduling_s,
            block_s_by_form=tuple(self._block_s_by_form),
            num_certified=self._num_certified,
            gap_mean=self._gaps / self._num_certified if certified else None,
            gap_worst=self._gap_worst if certified else None,
            timeline=self._timeline.points(),
        )


NOT_SEEN = UsageMeter(0).usage()  # of a run whose iterations are not known
