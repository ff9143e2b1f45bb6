"""Where values lie on an axis, and where its ticks are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

PAD = 0.06  # of the range, at either end
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """What an axis says.

    Attributes
    ----------
    label : str
        The quantity with its unit.
    is_log : bool
    low, high : float, optional
        Ends, in place of those of the data.
    is_padded : bool
        Whether there is room beyond the ends.
    text : callable
        How a tick is written.
    """

    label: str
    is_log: bool = False
    low: float | None = None
    high: float | None = None
    is_padded: bool = False
    text: Callable[[float], str] = "{:g}".format

    def scale(self, values: Iterable[float], first_px: float, last_px: float) -> Scale:
        """The scale that has all these values and the ends, from one pixel to another."""
        found = [value for value in values if not self.is_log or value > 0]
        low = self.low if self.low is not None else min(found, default=1.0)
        high = self.high if self.high is not None else max(found, default=low)
        if self.is_log:
            low, high = low * 0.999, max(high, low * 2)
        elif high <= low:
            low, high = (low, low + 1.0) if self.low is not None else (low - 0.5, low + 0.5)
        elif self.is_padded:
            low, high = low - PAD * (high - low), high + PAD * (high - low)
        return Scale(low, high, first_px, last_px, self.is_log)


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` as pixels; values beyond are drawn at the ends."""

    low: float
    high: float
    first_px: float
    last_px: float
    is_log: bool

    def px(self, value: float) -> float:
        """The pixel of a value."""
        value = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.is_log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return self.first_px + (value - low) / (high - low) * (self.last_px - self.first_px)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values, at most about so many; on a logarithmic one over tenfold 1, 2 and 5 of powers of ten."""
        if not self.is_log or self.high < 10 * self.low:
            return linear_ticks(self.low, self.high, most)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for parts in ((1, 2, 5), (1,)):
            found = [part * 10.0**power for power in powers for part in parts]
            found = [value for value in found if self.low <= value <= self.high]
            if len(found) <= most or parts == (1,):
                return found[:: math.ceil(len(found) / most) or 1]
        raise AssertionError("powers of ten are the last resort")


def linear_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of a round step between two values, at most about so many."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * part for part in STEPS if power * part >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]
