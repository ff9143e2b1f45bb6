"""The reproduction as a whole: the fit, all trials, reruns where we are off, and the honest measure; in that order."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from benchmarks.reproduce.causes import CAUSES, Rerun
from benchmarks.reproduce.decisions import IN_PYTHON, ONLINE, PLAIN, kept_times
from benchmarks.reproduce.figures import Extent, figure, is_off, trials, why_not
from benchmarks.reproduce.fit import fitted_scale
from benchmarks.reproduce.measured import Folder, Measuring
from benchmarks.reproduce.published import OPT, POLICIES, PUBLISHED, Published, Quantity
from benchmarks.reproduce.trial import Conditions, Trial
from engine.study.parallel import results_of
from engine.study.served_run import FailedRun

FITTED = next(row for row in PUBLISHED if row.quantity is Quantity.CAPACITY)
HONEST = (
    ("fcfs", "rebuilt"),
    ("sarathi", "rebuilt"),
    ("aptserve:as=paper", "rebuilt"),
    ("aptserve:as=paper", "absorbed"),
    ("aptserve", "absorbed"),
    ("aptserve:charge=lifetime", "absorbed"),
)  # policies and how hidden states are read, of the last section
HONEST_TTFT_S, HONEST_TPOT_S = 1.0, 0.2
FIT_SEEDS = range(5)


class StoppedError(Exception):
    """Ctrl-C: what was measured until then is kept."""


@dataclass(frozen=True)
class Line:
    """A published number, ours, and what a difference comes from.

    Attributes
    ----------
    published : Published
    ours : float or None
        None where it is not run, or no rate holds.
    reruns : tuple of Rerun
        Of a figure that is off: with one condition changed each.
    only : tuple of str
        The models that ours is of, where not all were run yet; else none.
    """

    published: Published
    ours: float | None
    reruns: tuple[Rerun, ...] = ()
    only: tuple[str, ...] = ()

    @property
    def is_off(self) -> bool:
        """Whether ours is known, and off."""
        return self.ours is not None and is_off(self.ours, self.published.value)


@dataclass(frozen=True, eq=False)
class Study:
    """All that is measured, and how much of it.

    Parameters
    ----------
    folder : Folder
        Where results are kept, and found.
    extent : Extent
        Of our figures.
    rerun_extent : Extent
        Of reruns with one condition changed.
    num_requests : int
        Of a run in the paper's setting.
    num_snapshots : int
        On which decisions are timed.
    jobs : int
        Processes.
    """

    folder: Folder
    extent: Extent
    rerun_extent: Extent
    num_requests: int = 1000
    num_snapshots: int = 50
    jobs: int = 2

    @cached_property
    def conditions(self) -> Conditions:
        """Those of all our figures; the scale is fitted when it is first asked for."""
        given = Conditions(num_requests=self.num_requests)
        assert FITTED.level is not None
        return replace(given, output_scale=fitted_scale(self._share_of_fitted, FITTED.level))

    @cached_property
    def decisions_s(self) -> dict[int, dict[str, float]]:
        """Seconds of one decision, by number of candidates and method."""
        counts = [row.num_candidates for row in PUBLISHED if row.num_candidates]
        path = self.folder.path / "decisions.json"
        return {count: kept_times(path, count, self.num_snapshots) for count in counts}

    def run(self, rows: Iterable[Published] = PUBLISHED, honest: bool = True) -> None:
        """Measure all that is not there yet; of the last section only if that is asked for.

        Raises
        ------
        StoppedError
            Ctrl-C.
        """
        rows = list(rows)
        own = [trial for row in rows for trial in trials(row, self.conditions, self.extent)]
        self.measure(sorted(own, key=lambda trial: (OPT.index(trial.model), trial.rate_per_s is None)))
        self.measure(sorted(self._reruns(rows), key=lambda trial: trial.rate_per_s is None))
        if honest:
            self.measure(self.honest_trials())

    def lines(self, rows: Iterable[Published] = PUBLISHED) -> list[Line]:
        """All numbers, with what is there."""
        return [self._line(row) for row in rows]

    def measure(self, wanted: Iterable[Trial]) -> None:
        """Carry out the trials that are not there yet.

        Raises
        ------
        StoppedError
            Ctrl-C.
        """
        tasks = [Measuring(trial, self.folder) for trial in dict.fromkeys(wanted) if self.folder.get(trial) is None]
        if not tasks:
            return
        said = set[int]()

        def progress(num_done: int) -> None:
            if num_done not in said:
                said.add(num_done)
                print(f"\r{num_done} of {len(tasks)} ", end="", file=sys.stderr, flush=True)

        found = list(results_of(tasks, self.jobs, progress))
        print(file=sys.stderr)
        for failed in found:
            if isinstance(failed, FailedRun):
                print(failed.reason, file=sys.stderr)
        if len(found) < len(tasks):
            raise StoppedError

    def honest_trials(self) -> list[Trial]:
        """The rates of the last section, by deadlines and sustained."""
        return [
            Trial(policy=policy, model="opt-13b", lengths=lengths, conditions=self.honest(reading), seed=seed)
            for policy, reading in HONEST
            for lengths in ("sharegpt", "longbench", "humaneval")
            for seed in self.rerun_extent.seeds
        ]

    def honest(self, reading: str) -> Conditions:
        """The conditions of the last section."""
        return replace(
            self.conditions,
            setting="sustained",
            ttft_s=HONEST_TTFT_S,
            tpot_s=HONEST_TPOT_S,
            hidden_attention=reading,
        )

    def _share_of_fitted(self, output_scale: float) -> float:
        """The share at the published rate with such a scale, the mean over `FIT_SEEDS`."""
        conditions = Conditions(num_requests=self.num_requests, output_scale=output_scale)
        wanted = [
            Trial(
                policy=POLICIES[FITTED.system],
                model=FITTED.models[0],
                lengths=FITTED.sets[0],
                conditions=conditions,
                rate_per_s=FITTED.value,
                seed=seed,
            )
            for seed in FIT_SEEDS
        ]
        self.measure(wanted)
        found = [measured for measured in map(self.folder.get, wanted) if measured is not None]
        return float(np.mean([share for measured in found for _, share in measured.shares]))

    def _line(self, row: Published) -> Line:
        if row.quantity is Quantity.DECISION:
            return self._decision(row)
        ours, only = figure(row, self.conditions, self.extent, self.folder.get), tuple[str, ...]()
        if ours is None:
            ours, only = (
                figure(row, self.conditions, self.rerun_extent, self.folder.get),
                self.rerun_extent.models or (),
            )
        return Line(row, ours, tuple(self._rerun(row)) if ours is not None and is_off(ours, row.value) else (), only)

    def _decision(self, row: Published) -> Line:
        assert row.num_candidates is not None
        seconds = self.decisions_s[row.num_candidates]
        rerun = Rerun(IN_PYTHON, seconds[ONLINE], seconds[PLAIN], row.value)
        return Line(row, seconds[ONLINE], (rerun,) if is_off(seconds[ONLINE], row.value) else ())

    def _reruns(self, rows: Iterable[Published]) -> Iterator[Trial]:
        """The trials of all changes, of numbers that are off; those without a change too, of the same extent."""
        off = [row for row in rows if why_not(row) is None and row.quantity is not Quantity.DECISION]
        off = [row for row in off if (line := self._line(row)).is_off or line.ours is None]
        for row in off:
            yield from trials(row, self.conditions, self.rerun_extent)
        for cause in CAUSES:
            for row in off:
                yield from self._changed(row, cause)

    def _changed(self, row: Published, cause: str) -> list[Trial]:
        """The trials of a number with one condition changed; none where that changes none of them."""
        as_they_are, changed = (
            trials(row, given, replace(self.rerun_extent, one_level=True))
            for given in (self.conditions, CAUSES[cause](self.conditions))
        )
        return [] if changed == as_they_are else changed

    def _rerun(self, row: Published) -> Iterator[Rerun]:
        before = figure(row, self.conditions, self.rerun_extent, self.folder.get)
        extent = replace(self.rerun_extent, one_level=True)
        for cause in CAUSES:
            if before is not None and self._changed(row, cause):
                after = figure(row, CAUSES[cause](self.conditions), extent, self.folder.get)
                if after is not None:
                    yield Rerun(cause, before, after, row.value)
