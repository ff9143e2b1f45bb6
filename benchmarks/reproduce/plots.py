"""Plots of what was measured."""

from __future__ import annotations

from aptsched.report.capacity_plot import Held, Panel, draw
from benchmarks.reproduce.published import SETS
from benchmarks.reproduce.study import Study
from benchmarks.reproduce.tables import POLICIES
from benchmarks.reproduce.trial import Trial


def drawn(study: Study) -> bytes:
    """The share that attains over the rate, for OPT-13B on each set, with the rates that hold 90% and 60%; PNG."""
    return draw([_panel(study, lengths) for lengths in SETS])


def _panel(study: Study, lengths: str) -> Panel:
    return Panel(f"OPT-13B on {lengths}, the paper's setting", [_held(study, policy, lengths) for policy in POLICIES])


def _held(study: Study, policy: str, lengths: str) -> Held:
    """What one policy attains, of all seeds that were run."""
    points, intervals, nan = list[tuple[float, float]](), list[tuple[float, float, float, float]](), float("nan")
    for seed in study.extent.seeds:
        trial = Trial(policy=policy, model="opt-13b", lengths=lengths, conditions=study.conditions, seed=seed)
        measured = study.folder.get(trial)
        if measured is not None:
            points += [(rate, share) for rate, share in measured.shares if share is not None]
            held = zip(trial.levels, measured.rates_per_s, strict=True)
            intervals += [(level, rate, nan, nan) for level, rate in held if rate is not None]
    return Held(policy, points, intervals, 0.0)
