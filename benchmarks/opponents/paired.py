"""Policies beside each other on the same seeds: ratios of rates, and which differ, by Holm's step-down method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from aptsched.metrics.interval import Interval, interval

ALPHA = 0.05
Rates = Sequence[float]  # requests a second that a policy holds with each seed


def ratio(own: Rates, other: Rates) -> Interval:
    """How many times the rates of another one's are: the geometric mean over the seeds and its 95% interval."""
    return over_sets([(own, other)])


def over_sets(by_set: Sequence[tuple[Rates, Rates]]) -> Interval:
    """How many times others' rates one's own are, over several sets of requests: of each seed the geometric mean.

    Parameters
    ----------
    by_set : sequence of (own, other)
        Nan of none.
    """
    if not by_set:
        return Interval(math.nan, math.nan, math.nan)
    return interval(np.exp(np.mean([_logs(own, other) for own, other in by_set], axis=0)).tolist())


def behind(own: Rates, others: Mapping[str, Rates]) -> list[str]:
    """Those of the others that hold more, by more than chance, after Holm's correction for as many as they are.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    found = []
    by_p = sorted((p_value(_logs(own, rates)), name) for name, rates in others.items())
    for place, (p, name) in enumerate(by_p):
        if p > ALPHA / (len(by_p) - place):
            break
        found += [name] if ratio(own, others[name]).mean < 1 else []
    return found


def p_value(logs: Sequence[float]) -> float:
    """Of a mean of 0, [s]: Student's t, two-sided; 1 of a single value, and where one is not known or all are 0."""
    from scipy.stats import t

    deviation = float(np.std(logs, ddof=1)) if len(logs) > 1 else math.nan
    if math.isnan(deviation) or not np.any(logs):
        return 1.0
    mean = abs(float(np.mean(logs)))
    return float(2 * t.sf(mean * math.sqrt(len(logs)) / deviation, len(logs) - 1)) if deviation else 0.0


def _logs(own: Rates, other: Rates) -> list[float]:
    found: list[float] = np.log(np.asarray(own, np.float64) / np.asarray(other, np.float64)).tolist()
    return found
