"""Confidence intervals of rates and ratios of rates that were found with several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.support.errors import InputError

# Student's t: the quantile 0.975 for 1 to 30 degrees of freedom
T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


@dataclass(frozen=True)
class Interval:
    """A geometric mean over seeds, and the ends of its 95% confidence interval; the ends are nan of a single seed."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], num_pilots: int | None = None) -> Interval:
    """The geometric mean of what was found with each seed, and its interval: Student's t over the logarithms.

    What is estimated is the geometric mean over all seeds of the rate that a seed's own requests hold (or of the ratio
    of two such rates), not the rate at which the mean share over all seeds crosses the level.

    Parameters
    ----------
    values : sequence of float, [s]
        Above 0; nan if any is.
    num_pilots : int, optional
        How many seeds were there when it was decided how many there would be. The standard deviation is then theirs
        alone, by which the interval covers as often as with a number fixed before: given that deviation, the mean
        of the logarithms is as it was, where these are normal.

    Source: C. Stein, "A two-sample test for a linear hypothesis whose power is independent of the variance", 1945.
    """
    logs = np.log(np.asarray(values, np.float64))
    mean, half = float(logs.mean()), _t(values[:num_pilots]) * _deviation(values[:num_pilots]) / math.sqrt(len(logs))
    return Interval(*(float(np.exp(mean + each)) for each in (0.0, -half, half)))


def seeds_needed(pilots: Sequence[float], half_width: float, most: int) -> int:
    """The number of seeds after which half of the interval's width is at most that share of the mean.

    Parameters
    ----------
    pilots : sequence of float
        What was found with the seeds so far, at least 2.
    half_width : float
        0.04 is 4%.
    most : int
        No more than so many are asked for; nor any where a value is nan.
    """
    if not 0 < half_width < 1:
        raise InputError(f"half_width: {half_width} is not accepted; a share between 0 and 1 is")
    each = _t(pilots) * _deviation(pilots) / math.log1p(half_width)
    needed = len(pilots) if math.isnan(each) else math.ceil(min(each, most) ** 2)
    return max(len(pilots), min(needed, most))


def _deviation(values: Sequence[float]) -> float:
    """The standard deviation of the logarithms; nan of fewer than two."""
    return float(np.log(np.asarray(values, np.float64)).std(ddof=1)) if len(values) > 1 else math.nan


def _t(values: Sequence[float]) -> float:
    """The quantile for so many values; beyond the table the last one, which is a little larger."""
    return T[min(len(values) - 1, len(T)) - 1]
