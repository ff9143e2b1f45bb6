"""The LP-efficient increments of each request: its options on the upper hull of (blocks, gain)."""

from __future__ import annotations

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled, zeros

WEIGHTLESS = 2.0**-60  # stands for no blocks in a slope, which puts the increment first
LEAST = 2.0**-1074  # stands for a slope that a float rounds to 0
Steps = tuple[Floats, Ints, Ints]  # slope, weight and option, [k * n], step by step and in each request by request


def increments(gain: Floats, weight: Ints) -> Steps:
    """Upper hulls of options, [k, n], from the origin to the most valuable; gains of 0 or less are not on offer.

    Returned are the slope of each step, in seconds per unit of weight, not above that of the request's step before, 0
    where there is none; the weight that the step adds; and the option (row + 1) that it leads to.

    Source: LP-dominance, Sinha and Zoltners (1979). The weights are the rounded ones, so that no request's second step
    sorts before its first, as Apt-Serve's halves can.
    """
    most, n = gain.size, gain.shape[1]
    steps = zeros(most, float), zeros(most, int), zeros(most, int)
    wrap(gain, weight, zeros(n, float), zeros(n, int), *steps)
    return steps


@compiled
def wrap(gain: Floats, weight: Ints, reached: Floats, held: Ints, slope: Floats, added: Ints, option: Ints) -> None:
    """Gift wrapping, O(k^2 n): from the option reached, its gain and weight, the one of steepest slope is next."""
    n = len(reached)
    for first in range(0, len(slope), n):
        for row in range(len(gain)):
            gains, weights = gain[row], weight[row]
            for i in range(n):
                more, extra = gains[i] - reached[i], weights[i] - held[i]
                if more > 0 and (extra > 0 or first == 0):
                    steep = more / (extra if extra > 0 else WEIGHTLESS) or LEAST
                    if steep > slope[first + i]:
                        option[first + i], slope[first + i] = row + 1, steep
        for i in range(n):
            if slope[first + i] > 0:
                row = option[first + i] - 1
                added[first + i] = weight[row][i] - held[i]
                reached[i], held[i] = gain[row][i], weight[row][i]
                if first > 0:
                    slope[first + i] = min(slope[first + i], slope[first + i - n])
