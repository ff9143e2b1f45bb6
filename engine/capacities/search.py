"""The search of a case as a job for a process: probes until every level's rate is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aptsched.metrics.rate_search import crossing_rate, next_rate
from aptsched.support.errors import InputError
from aptsched.support.plural import how_many
from engine.capacities.case import Case, Probed, probed
from engine.capacities.give_up import GiveUp
from engine.capacities.kept import Carried, Kept
from engine.loop.loop import STUCK
from engine.study.replay import Replay
from engine.study.served_run import FailedRun, ServedRun
from engine.study.serving import ENOUGH, Server, attempt
from engine.study.simulation import cost_of

USUAL_PROBES = 7  # of a search for one level
MORE_PROBES = 3  # for each further level
FEW = 8  # requests by which it is known that a policy serves any


def search_size(num_levels: int) -> int:
    """How many probes a search for so many levels will take, about."""
    return USUAL_PROBES + MORE_PROBES * (num_levels - 1)


@dataclass(frozen=True, eq=False)
class Searched:
    """All probes of a case."""

    case: Case
    probes: tuple[Probed, ...]

    def rate_per_s(self, level: float) -> float:
        """The rate at which the case ceases to hold the level; nan where none was found that holds it."""
        return crossing_rate(self.probes, level)


@dataclass(frozen=True, eq=False)
class Search:
    """The search of a case; it can be pickled, like what it returns.

    Attributes
    ----------
    case : Case
    server : Server
    levels : sequence of float
        Sought one after the other; each begins from the probes of those before it.
    first_per_s : float
        Where it begins.
    kept : Kept or Carried, optional
        Where probes are kept, and looked for.
    """

    case: Case
    server: Server
    levels: Sequence[float]
    first_per_s: float
    kept: Kept | Carried | None = None

    @property
    def size(self) -> int:
        """How many probes it will take, about."""
        return search_size(len(self.levels))

    def attempt(self, progress: Callable[[int], None]) -> tuple[Searched | FailedRun | None, bool]:
        """The probes, or why a run failed; and whether Ctrl-C ended it, which leaves none."""
        probes: list[Probed] = []
        for level in self.levels:
            while (rate := next_rate(probes, level, self.first_per_s)) is not None:
                found, stopped = self._probe(rate, is_first=not probes)
                if found is None and not stopped:
                    break
                if stopped or not isinstance(found, Probed):
                    return (None if isinstance(found, Probed) else found), stopped
                probes.append(found)
                progress(min(len(probes), self.size - 1))  # all of it once no probe is left to make
        return Searched(self.case, tuple(sorted(probes, key=lambda probe: probe.rate_per_s))), False

    def carrying(self) -> Search:
        """The same, with the probes that are kept of it, up to the first that is not."""
        found: dict[float, Probed] = {}
        for level in self.levels:
            while (rate := next_rate(list(found.values()), level, self.first_per_s)) is not None:
                known = None if self.kept is None else self.kept.get(self.case, rate)
                if known is None:
                    return replace(self, kept=Carried(found))
                found[rate] = known
        return replace(self, kept=Carried(found))

    def failed(self, reason: str) -> FailedRun:
        """The failed search, for when its process has ended."""
        return FailedRun(self.case.policy, float("nan"), f"policy {self.case.policy}: {reason}")

    def _probe(self, rate_per_s: float, is_first: bool) -> tuple[Probed | FailedRun | None, bool]:
        """A probe that was kept, or that of a run, or none; and whether Ctrl-C was pressed.

        There is none where the rate cannot be tried: nobody arrives in time, or all before any counts. Of the first
        rate of a search that is an error.
        """
        known = None if self.kept is None else self.kept.get(self.case, rate_per_s)
        if known is not None:
            return known, False
        try:
            replay = self.case.arrivals.at(rate_per_s, cost_of(self.server))
        except InputError:
            if is_first:
                raise
            return None, False
        if is_first and self.case.arrivals.number == 0:
            idle, stopped = self._idle(replay)
            if idle is not None or stopped:
                return idle, stopped
        policy, setting = self.case.made_for(replay), self.case.arrivals.setting
        give_up = GiveUp(replay, setting, min(self.levels))
        run, stopped = attempt(policy, replay, self.server, is_enough=give_up)
        if not isinstance(run, ServedRun) or not run.complete:
            return (run if isinstance(run, FailedRun) else None), stopped
        found = Probed(rate_per_s=rate_per_s, attained=None) if run.reason == ENOUGH else probed(run, setting)
        if self.kept is not None:
            self.kept.put(self.case, found)
        return found, stopped

    def _idle(self, replay: Replay) -> tuple[FailedRun | None, bool]:
        """The failure of a policy that runs nothing though requests wait, which takes long to see at any rate.

        Also whether Ctrl-C was pressed.
        """
        prompts, outputs = replay.num_prompt_tokens[:FEW], replay.num_output_tokens[:FEW]
        few = Replay(np.zeros(len(prompts)), prompts, outputs, replay.slo)
        run, stopped = attempt(self.case.made_for(few), few, self.server)
        if isinstance(run, ServedRun) and run.reason == STUCK and not run.usage.num_prefill_tokens:
            return self.failed(f"{STUCK}, though {how_many(len(few), 'request')} waited"), stopped
        return None, stopped
