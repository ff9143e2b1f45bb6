"""Tables of rates, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.reproduce.published import OPT, SETS
from benchmarks.reproduce.study import HONEST, Study
from benchmarks.reproduce.trial import Conditions, Trial

POLICIES = ("fcfs", "sarathi", "fastgen", "aptserve:as=paper")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; of one without rows only a line that says so."""
    if not rows:
        return "Nothing."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rate_table(study: Study) -> str:
    """The highest rates of all models on all sets in the paper's setting."""
    return table(
        ("model", "set", "level", *(f"`{policy}`" for policy in POLICIES), *(f"over {name}" for name in POLICIES[:-1])),
        list(_rate_rows(study)),
    )


def _rate_rows(study: Study) -> Iterator[tuple[str, ...]]:
    models = [model for model in OPT if study.extent.models is None or model in study.extent.models]
    for model in models:
        for lengths in SETS:
            for level in (0.9, 0.6):
                seeds = study.extent.seeds
                rates = [
                    mean_rate(study, policy, model, lengths, study.conditions, level, seeds) for policy in POLICIES
                ]
                ours = rates[-1]
                ratios = [f"{ours / other:.2f}" if ours and other else "-" for other in rates[:-1]]
                yield (model, lengths, f"{level:.0%}", *map(_rate, rates), *ratios)


def honest_table(study: Study) -> str:
    """The highest rates by deadlines, sustained, of OPT-13B."""
    rows = list[tuple[str, ...]]()
    first: list[float | None] = []
    for policy, reading in HONEST:
        conditions = study.honest(reading)
        rates = [
            mean_rate(study, policy, "opt-13b", lengths, conditions, 0.9, study.rerun_extent.seeds) for lengths in SETS
        ]
        first = first or rates
        cells = [
            _rate(rate) + (f" ({rate / other:.2f})" if rate and other else "")
            for rate, other in zip(rates, first, strict=True)
        ]
        rows.append((f"`{policy}`", reading if policy.startswith("aptserve") else "", *cells))
    return table(("policy", "hidden states", *SETS), rows)


def mean_rate(
    study: Study, policy: str, model: str, lengths: str, conditions: Conditions, level: float, seeds: Sequence[int]
) -> float | None:
    """The geometric mean over the seeds of the highest rate that holds; None if one is not there."""
    found = []
    for seed in seeds:
        trial = Trial(policy=policy, model=model, lengths=lengths, conditions=conditions, seed=seed)
        measured = study.folder.get(trial)
        rate = None if measured is None else measured.rates_per_s[trial.levels.index(level)]
        if rate is None:
            return None
        found.append(rate)
    return float(np.exp(np.mean(np.log(found))))


def _rate(rate_per_s: float | None) -> str:
    return "-" if rate_per_s is None else f"{rate_per_s:.3g}"
