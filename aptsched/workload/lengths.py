"""Length distributions through published quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError

LEVELS = np.array([0.0, 0.5, 0.9, 0.99, 1.0])
MIDPOINTS = (np.arange(2000) + 0.5) / 2000
MAX_POWER = 12.0


@dataclass(frozen=True)
class LengthModel:
    """Token counts with given quantiles and a given mean.

    The quantile function q is monotone and goes through (0, shortest), (0.5, p50), (0.9, p90), (0.99, p99) and
    (1, longest). Between neighbours q**power is linear; one power, the same everywhere, is chosen so that the mean
    comes out right too (1 is linear interpolation, the limit 0 log-linear). Samples are q of uniform variates, rounded.

    Parameters
    ----------
    mean : float
    p50, p90, p99 : int
    shortest, longest : int
        The least and the most tokens in the source, at least 1.

    Raises
    ------
    InputError
        The quantiles do not increase, or no distribution of this kind has this mean.
    """

    mean: float
    p50: int
    p90: int
    p99: int
    shortest: int
    longest: int

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.p50 <= self.p90 <= self.p99 <= self.longest:
            raise InputError(f"quantiles: {self.knots.tolist()} are not accepted; at least 1 and not decreasing is")
        low, high = self._mean_at(-MAX_POWER), self._mean_at(MAX_POWER)
        if not low <= self.mean <= high:
            raise InputError(f"mean: {self.mean} is not accepted; from {low:.1f} to {high:.1f} is, for these quantiles")

    @property
    def knots(self) -> Floats:
        """The quantiles at LEVELS, [5], in tokens."""
        return np.array([self.shortest, self.p50, self.p90, self.p99, self.longest], np.float64)

    @cached_property
    def power(self) -> float:
        """The power in which the quantile function is piecewise linear, by bisection: the mean increases with it."""
        low, high = -MAX_POWER, MAX_POWER
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self._mean_at(middle) < self.mean else (low, middle)
        return high

    def quantile(self, level: Floats) -> Floats:
        """The quantile function at levels from 0 to 1, [...]; in tokens, not rounded."""
        return _interpolate(level, self.knots, self.power)

    def sample(self, size: int, rng: np.random.Generator) -> Ints:
        """Independent token counts, [size]."""
        return np.rint(self.quantile(rng.random(size))).astype(np.int64)

    def _mean_at(self, power: float) -> float:
        levels = LEVELS[:-1, None] + np.diff(LEVELS)[:, None] * MIDPOINTS
        return float(np.diff(LEVELS) @ _interpolate(levels, self.knots, power).mean(axis=1))


def _interpolate(level: Floats, knots: Floats, power: float) -> Floats:
    if abs(power) < 1e-9:
        return np.exp(np.interp(level, LEVELS, np.log(knots)))
    scaled: Floats = np.interp(level, LEVELS, knots**power) ** (1 / power)
    return scaled
