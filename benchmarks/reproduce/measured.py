"""What came of a trial, and the folder where it is kept as soon as it is known."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from aptsched.support import files
from benchmarks.reproduce.trial import FIRST_PER_S, Trial
from engine.capacities.case import Case, Probed
from engine.capacities.kept import Kept, code_digest
from engine.capacities.search import Search
from engine.study.served_run import FailedRun, ServedRun
from engine.study.serving import attempt
from engine.study.simulation import cost_of

PROBES = "probes"


@dataclass(frozen=True)
class Measured:
    """What came of a trial.

    Attributes
    ----------
    shares : tuple of (rate, share or None)
        The share that attains at each rate; None where the run was given up, as it was far below all levels.
    rates_per_s : tuple of float or None, [l]
        The highest rate that holds each level of the trial; None where none does, or none was sought.
    starved : float or None
        Share whose first token came later than 10 times its objective, or never; of a trial at one rate.
    """

    shares: tuple[tuple[float, float | None], ...]
    rates_per_s: tuple[float | None, ...] = ()
    starved: float | None = None


@dataclass(frozen=True)
class Folder:
    """A folder with a file for each trial, and one for each run of a search that is under way."""

    path: Path

    def get(self, trial: Trial) -> Measured | None:
        """What came of a trial, if it is there and was measured by this code."""
        try:
            text = json.loads(self._path(trial).read_text(encoding="utf-8"))
            known = text["code"] == code_digest() and text["trial"] == trial.key
            shares = tuple((rate, share) for rate, share in text["shares"])
            return Measured(shares, tuple(text["rates_per_s"]), text["starved"]) if known else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def put(self, trial: Trial, measured: Measured) -> None:
        """Keep what came of a trial: its file is whole, or not there."""
        text = json.dumps({"code": code_digest(), "trial": trial.key, **asdict(measured)})
        files.write(self._path(trial), text)

    def kept(self, trial: Trial) -> Kept:
        """Where the runs of a search are kept."""
        decides = {"trial": trial.key, "code": code_digest()}
        return Kept(files.make_directory(self.path / PROBES), decides, min(trial.levels))

    def probe(self, trial: Trial, rate_per_s: float) -> Probed | None:
        """The run at one rate of a search, if it is there."""
        return self.kept(trial).get(Case(trial.policy, trial.policy, trial.arrivals()), rate_per_s)

    def _path(self, trial: Trial) -> Path:
        return self.path / f"{hashlib.sha256(trial.key.encode()).hexdigest()[:32]}.json"


@dataclass(frozen=True)
class Measuring:
    """A trial as a task for a process; it can be pickled, like its result."""

    trial: Trial
    folder: Folder
    size: int = 1

    def attempt(self, progress: Callable[[int], None]) -> tuple[Measured | FailedRun | None, bool]:
        """What comes of the trial, which is kept then; and whether Ctrl-C ended it."""
        found, stopped = self._searched() if self.trial.rate_per_s is None else self._served(self.trial.rate_per_s)
        if isinstance(found, Measured):
            self.folder.put(self.trial, found)
        return found, stopped

    def failed(self, reason: str) -> FailedRun:
        """The failed trial, for when its process has ended."""
        return FailedRun(self.trial.policy, math.nan, f"{self.trial.key}: {reason}")

    def _searched(self) -> tuple[Measured | FailedRun | None, bool]:
        trial = self.trial
        case, kept = Case(trial.policy, trial.policy, trial.arrivals()), self.folder.kept(trial)
        search = Search(case, trial.server(), trial.levels, FIRST_PER_S[trial.lengths], kept)
        found, stopped = search.attempt(lambda num_probes: None)
        if found is None or isinstance(found, FailedRun):
            return found, stopped
        shares = tuple((probe.rate_per_s, probe.attained if probe.stable else None) for probe in found.probes)
        rates = [found.rate_per_s(level) for level in trial.levels]
        return Measured(shares, tuple(None if math.isnan(rate) else rate for rate in rates)), stopped

    def _served(self, rate_per_s: float) -> tuple[Measured | FailedRun | None, bool]:
        trial, server = self.trial, self.trial.server()
        arrivals = trial.arrivals()
        replay = arrivals.at(rate_per_s, cost_of(server))
        run, stopped = attempt(Case(trial.policy, trial.policy, arrivals).made_for(replay), replay, server)
        if not isinstance(run, ServedRun) or not run.complete:
            return (run if isinstance(run, FailedRun) else None), stopped
        metrics = run.metrics
        return Measured(((rate_per_s, arrivals.setting.attained(metrics)),), (), metrics.starved), stopped
