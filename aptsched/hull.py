"""The LP-efficient increments of each request: its options on the upper hull of (blocks, gain)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.checks import Floats, Ints

WEIGHTLESS = 2.0**-60  # stands for no blocks: dividing by it puts an increment first, adding it changes no sum


@dataclass(frozen=True, eq=False)
class Increments:
    """Steps along the upper hulls, step by step and in each step request by request, [num_steps * n].

    Attributes
    ----------
    slope : float array
        Gain per unit of weight, in seconds; not above that of the request's step before; 0 where there is no step.
    weight : float array
        What the step adds; 0 where there is no step.
    option : int array
        The option (row + 1) that the step leads to.
    """

    slope: Floats
    weight: Floats
    option: Ints


def increments(gain: Floats, weight: Ints) -> Increments:
    """Upper hulls of k options for each of n requests, from the origin up to the most valuable option.

    Parameters
    ----------
    gain : float array, [k, n]
        Above 0, or -inf where an option is not offered.
    weight : int array, [k, n]
        At least 0.

    Notes
    -----
    Gift wrapping: from where a request stands, the option of steepest slope is next. O(k^2 n), in k passes without a
    loop over requests. Source: LP-dominance, Sinha and Zoltners (1979). The weights are the rounded ones, so that no
    request's second step sorts before its first, as Apt-Serve's halves can.
    """
    gains, weights = np.maximum(gain, 0.0), np.maximum(weight, WEIGHTLESS)
    slopes, extras, options = np.empty_like(gains), np.empty_like(gains), np.empty(gains.shape, np.int64)
    onward, options[0], at_gain, at_weight = _steepest(gains / weights, gains, weights)
    slopes[0] = onward
    np.multiply(at_weight, onward > 0, out=extras[0])
    for step in range(1, len(gain)):
        more, extra = gains - at_gain, weights - at_weight
        onward = np.zeros_like(more)
        with np.errstate(divide="ignore", over="ignore"):
            np.divide(more, extra, out=onward, where=more > 0)
        onward, options[step], more, extra = _steepest(onward, more, extra)
        moves = onward > 0
        np.minimum(onward, slopes[step - 1], out=slopes[step])
        np.multiply(extra, moves, out=extras[step])
        if step + 1 < len(gain):
            at_gain, at_weight = at_gain + more * moves, at_weight + extras[step]
    return Increments(slopes.ravel(), extras.ravel(), options.ravel())


def _steepest(slopes: Floats, more: Floats, extra: Floats) -> tuple[Floats, Ints, Floats, Floats]:
    """For each request the slope to its best option, that option, its gain and its weight."""
    slope, at_more, at_extra, option = slopes[0], more[0], extra[0], np.ones(len(slopes[0]), np.int64)
    for row in range(1, len(slopes)):
        better = slopes[row] > slope
        option[better] = row + 1
        at_more, at_extra = np.where(better, more[row], at_more), np.where(better, extra[row], at_extra)
        slope = np.maximum(slopes[row], slope)
    return slope, option, at_more, at_extra
