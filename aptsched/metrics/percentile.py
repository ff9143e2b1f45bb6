"""The one definition of a percentile: a value that was observed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aptsched.support.checks import Floats, Ints


def percentile(values: npt.ArrayLike, percent: int) -> float:
    """The smallest of the values that at least `percent` % of them do not exceed; nan of none.

    The median is percentile 50: of an even number of values the lower one of the middle two.
    """
    return percentiles(np.array(values, np.float64), (percent,))[0]


def percentiles(values: Floats, percents: Sequence[int]) -> list[float]:
    """Several percentiles of an array, whose values are put into another order."""
    if not values.size:
        return [math.nan] * len(percents)
    at = [int(rank(np.array(values.size), percent)) for percent in percents]
    values.partition(at)
    return [float(values[each]) for each in at]


def rank(num_values: Ints, percent: int) -> Ints:
    """The position, from 0, of the percentile among so many sorted values, at least 1."""
    below: Ints = -(-num_values * percent // 100) - 1  # in whole numbers: 0.99 is no float
    return np.maximum(below, 0)
