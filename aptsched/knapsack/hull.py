"""The LP-efficient increments of each request: its options on the upper hull of (blocks, gain)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aptsched.support.checks import Floats, Ints

WEIGHTLESS = 2.0**-60  # stands for no blocks: dividing by it puts an increment first, adding it changes no sum


class Increments(NamedTuple):
    """Steps along the upper hulls, step by step and in each step request by request, [num_steps * n].

    Attributes
    ----------
    slope : float array
        Gain per unit of weight, in seconds; not above that of the request's step before; 0 or less, or nan, where
        there is no step.
    weight : float array
        Weight that the step adds; undefined where there is no step.
    change : int array
        By how much the number of the option (row + 1; 0 is none) changes.
    """

    slope: Floats
    weight: Floats
    change: npt.NDArray[np.signedinteger]


def increments(gain: Floats, weight: Ints) -> Increments:
    """Upper hulls of k options for each of n requests, from the origin up to the most valuable option.

    Parameters
    ----------
    gain : float array, [k, n]
        0 or less where an option is not offered.
    weight : int array, [k, n]
        At least 0.

    Notes
    -----
    Gift wrapping: from a request's last option, the option of steepest slope is next. O(k^2 n), in k passes without a
    loop over requests. Source: LP-dominance, Sinha and Zoltners (1979). The weights are the rounded ones, so that no
    request's second step sorts before its first, as Apt-Serve's halves can.
    """
    weights = weight.astype(np.float64)
    if weights.item(weights.argmin()) <= 0:
        np.maximum(weights, WEIGHTLESS, out=weights)
    if len(gain) == 1:
        return Increments((gain / weights)[0], weights[0], np.ones(len(gain[0]), np.int8))
    if len(gain) == 2:
        return _of_two(gain, weights)
    gains = np.maximum(gain, 0.0)
    slopes, extras, options = np.zeros_like(gains), np.empty_like(gains), np.empty(gains.shape, np.int64)
    at_gain, extras[0] = _steepest(gains / weights, gains, weights, slopes[0], options[0])
    at_weight = extras[0] * (slopes[0] > 0)
    for step in range(1, len(gain)):
        more, extra = gains - at_gain, weights - at_weight
        onward = np.divide(more, extra, out=np.zeros_like(more), where=(more > 0) & (extra > 0))
        more, extras[step] = _steepest(onward, more, extra, slopes[step], options[step])
        moves = slopes[step] > 0
        np.minimum(slopes[step], slopes[step - 1], out=slopes[step])
        at_gain, at_weight = at_gain + more * moves, at_weight + extras[step] * moves
    options[1:] -= options[:-1].copy()
    return Increments(slopes.ravel(), extras.ravel(), options.ravel())


def _of_two(gain: Floats, weight: Floats) -> Increments:
    """The same for k = 2, in a quarter of the time: the second step, if any, is the difference of the two options."""
    slopes, extras, change = np.empty_like(weight), np.empty_like(weight), np.empty(gain.shape, np.int8)
    first, second = np.divide(gain, weight, out=slopes)
    second_first = second > first
    more, extra = gain[0] - gain[1], np.subtract(weight[0], weight[1], out=extras[1])
    extra += WEIGHTLESS  # where they weigh the same there is no second step
    onward = more / extra  # both change sign with the order of the two
    onward *= second_first == (more > 0)  # otherwise the steeper option is the most valuable one too
    np.maximum(first, second, out=first)
    np.minimum(onward, first, out=second)
    np.multiply(extra, second_first, out=extras[0])
    np.subtract(weight[0], extras[0], out=extras[0])  # whole numbers, so nothing is rounded
    np.abs(extra, out=extra)
    np.add(second_first.view(np.int8), 1, out=change[0])
    np.subtract(3, 2 * change[0], out=change[1])
    return Increments(slopes.ravel(), extras.ravel(), change.ravel())


def _steepest(slopes: Floats, more: Floats, extra: Floats, slope: Floats, option: Ints) -> tuple[Floats, Floats]:
    """Gain and weight of each request's best option; its slope and the option itself are written to the last two."""
    at_more, at_extra = more[0], extra[0]
    slope[:], option[:] = slopes[0], 1
    for row in range(1, len(slopes)):
        better = slopes[row] > slope
        option[better] = row + 1
        at_more, at_extra = np.where(better, more[row], at_more), np.where(better, extra[row], at_extra)
        np.maximum(slopes[row], slope, out=slope)
    return at_more, at_extra
