"""Rates of one policy over those of another, from what was measured."""

from __future__ import annotations

import numpy as np

from benchmarks.reproduce.published import OPT, PUBLISHED, SETS
from benchmarks.reproduce.study import HONEST, Line, Study
from benchmarks.reproduce.tables import mean_rate

OURS = "aptserve:as=paper"


def models_of(study: Study) -> list[str]:
    """The models that are run."""
    return [model for model in OPT if study.extent.models is None or model in study.extent.models]


def sets_of(study: Study) -> list[str]:
    """The sets of lengths that are run."""
    return [lengths for lengths in SETS if study.extent.sets is None or lengths in study.extent.sets]


def line_of(study: Study, **wanted: object) -> Line:
    """The one published number with these fields, beside ours."""
    (row,) = [row for row in PUBLISHED if all(getattr(row, name) == value for name, value in wanted.items())]
    (line,) = study.lines([row])
    return line


def rate(study: Study, policy: str, model: str, lengths: str, level: float) -> float | None:
    """The highest rate that holds in the paper's setting, the mean over the seeds; None if it is not there."""
    return mean_rate(study, policy, model, lengths, study.conditions, level, study.extent.seeds)


def ratio(study: Study, other: str, model: str, lengths: str, level: float) -> float | None:
    """How many times another policy's rate the printed method holds."""
    ours, theirs = (rate(study, policy, model, lengths, level) for policy in (OURS, other))
    return ours / theirs if ours and theirs else None


def mean_ratios(study: Study, other: str, level: float) -> dict[str, float] | None:
    """The mean of `ratio` over the models, by set; None unless all are there."""
    found = dict[str, float]()
    for lengths in sets_of(study):
        ratios = [ratio(study, other, model, lengths, level) for model in models_of(study)]
        known = [each for each in ratios if each is not None]
        if len(known) < len(ratios):
            return None
        found[lengths] = float(np.mean(known))
    return found


def honest_ratio(study: Study, policy: str, reading: str, lengths: str) -> float | None:
    """How many times the rate of the first of `HONEST` a policy holds by deadlines, sustained."""
    ours, theirs = (
        mean_rate(study, name, "opt-13b", lengths, study.honest(how), 0.9, study.rerun_extent.seeds)
        for name, how in ((policy, reading), HONEST[0])
    )
    return ours / theirs if ours and theirs else None
