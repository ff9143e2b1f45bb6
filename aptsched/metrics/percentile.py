"""The one definition of a percentile: a value that was observed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aptsched.support.checks import Floats, Ints
from aptsched.support.spilled import SpilledFloats

MAX_SORTED = 2**19  # values of a column
SIGN = -(2**63)


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


def percentiles_of(column: SpilledFloats, percents: Sequence[int], max_sorted: int = MAX_SORTED) -> list[float]:
    """Several percentiles of a column, of which no more than so many values are sorted, or held, at once."""
    if not len(column):
        return [math.nan] * len(percents)
    positions = [int(rank(np.array(len(column)), percent)) for percent in percents]
    return _in_positions(column, positions, 48, max_sorted)


def _in_positions(column: SpilledFloats, positions: Sequence[int], shift: int, max_sorted: int) -> list[float]:
    """The values in these positions, from 0, of a column in order, in which all bits from `shift` + 16 on are alike.

    Of a long column those are kept that have the next 16 bits of the value in a position, which counting finds.
    """
    if shift < 0:
        return [float(next(column.parts())[0])] * len(positions)
    if len(column) <= max_sorted:
        values = column.whole()
        values.partition(positions)
        return [float(values[each]) for each in positions]
    counts = np.zeros(2**16, np.int64)
    for part in column.parts():
        counts += np.bincount(_digits(part, shift), minlength=len(counts))
    stops = counts.cumsum()
    found = stops.searchsorted(positions, side="right").tolist()
    kept = {digit: SpilledFloats() for digit in found}
    for part in column.parts():
        digits = _digits(part, shift)
        for digit, alike in kept.items():
            alike.append(part[digits == digit])
    within = [position - int(stops[digit] - counts[digit]) for position, digit in zip(positions, found, strict=True)]
    return [
        _in_positions(kept[digit], [at], shift - 16, max_sorted)[0] for digit, at in zip(found, within, strict=True)
    ]


def _digits(values: Floats, shift: int) -> npt.NDArray[np.uint16]:
    """The 16 bits from `shift` on of whole numbers in the order of the values, [n].

    These are the bits of a float, with the sign turned over, and the others too where it is below 0.
    """
    bits = values.view(np.int64)
    return ((bits ^ (bits >> 63 | SIGN)).view(np.uint64) >> shift).astype(np.uint16)


def rank(num_values: Ints, percent: int) -> Ints:
    """The position, from 0, of the percentile among so many sorted values, at least 1."""
    below: Ints = -(-num_values * percent // 100) - 1  # in whole numbers: 0.99 is no float
    return np.maximum(below, 0)
