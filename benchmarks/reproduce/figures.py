"""Our figure for a published number: which trials it takes, and what they come to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.reproduce.measured import Measured
from benchmarks.reproduce.published import POLICIES, Published, Quantity
from benchmarks.reproduce.trial import Conditions, Trial

BURSTS = (1.0, 2.0, 4.0, 8.0)  # CVs of a sweep
RATES_PER_S: Mapping[str, float] = {"sharegpt": 3.0, "humaneval": 6.0, "longbench": 1.5}  # where none is published
OFF = 0.35  # part of a published number by which ours may differ
NOT_MEASURED: Mapping[Quantity, str] = {
    Quantity.CALIBRATION: "it takes the GPU itself",
    Quantity.TBT_ATTAINMENT: "the lengths of its sets are not at hand",
}
Results = Callable[[Trial], Measured | None]


@dataclass(frozen=True)
class Extent:
    """How much is run: the seeds, and which of the models and sets that a number is of; None for all.

    With `one_level` a search is for the level of the number alone, in place of all levels of its setting: it takes half
    the time where only that one is needed.
    """

    seeds: tuple[int, ...] = (0,)
    models: tuple[str, ...] | None = None
    sets: tuple[str, ...] | None = None
    one_level: bool = False


def why_not(row: Published) -> str | None:
    """Why a number is not run; None if it is."""
    return NOT_MEASURED.get(row.quantity)


def trials(row: Published, conditions: Conditions, extent: Extent) -> list[Trial]:
    """All trials that our figure for a number is made of; none of one that takes no serving."""
    return [trial for places in _by_place(row, conditions, extent) for system in places for trial in system]


def figure(row: Published, conditions: Conditions, extent: Extent, results: Results) -> float | None:
    """Our figure for a number that is served; None unless every trial that it takes is there.

    Of each place, a model and a set and a CV, it is the mean over the seeds, geometric for rates, of one system over
    that of the other. Places where a level is never held are left out.
    """
    values = list[float]()
    for place in _by_place(row, conditions, extent):
        of_systems = [[(trial, results(trial)) for trial in system] for system in place]
        if any(measured is None for system in of_systems for _, measured in system):
            return None
        means = [_mean(row, [(trial, found) for trial, found in system if found is not None]) for system in of_systems]
        value = means[0] if len(means) == 1 else means[0] / means[1] if means[1] > 0 else math.nan
        values += [] if math.isnan(value) else [value]
    if not values:
        return None
    return max(values) if row.over == "most" else float(np.mean(values))


def is_off(ours: float, published: float) -> bool:
    """Whether our figure differs from the published one by more than `OFF` of it."""
    return abs(ours / published - 1) > OFF


def closes_half(before: float, after: float, published: float) -> bool:
    """Whether a change takes our figure at least half of the way to the published one, on either side of it."""
    return abs(after - published) <= abs(before - published) / 2


def _by_place(row: Published, conditions: Conditions, extent: Extent) -> Iterator[list[list[Trial]]]:
    """For each model, set and CV, the trials of each system, by seed."""
    if why_not(row) is not None:
        return
    models = [model for model in row.models if extent.models is None or model in extent.models]
    sets = [lengths for lengths in row.sets if extent.sets is None or lengths in extent.sets]
    systems = [_policy(name, conditions) for name in (row.system, row.other) if name]
    for model, lengths, cv in itertools.product(models, sets, BURSTS if row.cv is None else (row.cv,)):
        stands_in = row.rate_per_s is None and row.level is None
        rate_per_s = RATES_PER_S[lengths] * conditions.rate_times if stands_in else row.rate_per_s
        yield [
            [
                Trial(
                    policy=policy,
                    model=model,
                    lengths=lengths,
                    conditions=conditions.of(policy),
                    cv=cv,
                    rate_per_s=rate_per_s,
                    level=row.level if extent.one_level else None,
                    seed=seed,
                )
                for seed in extent.seeds
            ]
            for policy in systems
        ]


def _policy(system: str, conditions: Conditions) -> str:
    """What stands for a system; for Apt-Serve our own policy, where it is not as printed."""
    policy = POLICIES[system]
    return policy if conditions.printed else policy.replace(":as=paper", "")


def _mean(row: Published, found: Sequence[tuple[Trial, Measured]]) -> float:
    """The mean over the seeds of what a number says."""
    if row.level is not None:
        rates = [measured.rates_per_s[trial.levels.index(row.level)] for trial, measured in found]
        known = [math.nan if rate is None else rate for rate in rates]
        return float(np.exp(np.mean(np.log(known))))
    if row.quantity is Quantity.STARVED:
        return float(np.mean([measured.starved for _, measured in found]))
    return float(np.mean([measured.shares[0][1] for _, measured in found]))
