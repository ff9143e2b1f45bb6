"""The LP-efficient increments of each request: its options on the upper hull of (blocks, gain)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled

WEIGHTLESS = 2.0**-60  # stands for no blocks in a slope, which puts the increment first


class Increments(NamedTuple):
    """Steps along the upper hulls, step by step and in each step request by request, [k * n].

    Attributes
    ----------
    slope : float array
        Gain per unit of weight, in seconds; not above that of the request's step before; 0 where there is no step.
    weight : int array
        Weight that the step adds; undefined where there is no step.
    option : int array
        The option (row + 1) that the step leads to; undefined where there is no step.
    """

    slope: Floats
    weight: Ints
    option: Ints


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
    Source: LP-dominance, Sinha and Zoltners (1979). The weights are the rounded ones, so that no request's second step
    sorts before its first, as Apt-Serve's halves can.
    """
    steps = Increments(np.zeros(gain.size), np.empty(gain.size, np.int64), np.empty(gain.size, np.int64))
    wrap(gain, weight, *steps)
    return steps


@compiled
def wrap(gain: Floats, weight: Ints, slope: Floats, added: Ints, option: Ints) -> None:
    """Gift wrapping, O(k^2 n): from a request's last option, the option of steepest slope is next."""
    k, n = len(gain), len(gain[0])
    rows = range(k)
    for i in range(n):
        last, at_gain, at_weight = math.inf, 0.0, 0
        for position in range(i, k * n, n):
            best, steepest, best_more, best_extra = -1, 0.0, 0.0, 0
            for row in rows:
                more = gain[row][i] - at_gain
                if more > 0:
                    extra = weight[row][i] - at_weight
                    if extra > 0:
                        steep = more / extra
                    elif position < n:
                        steep = more / WEIGHTLESS
                    else:
                        continue
                    if steep > steepest:
                        best, steepest, best_more, best_extra = row, steep, more, extra
            if best < 0:
                break
            if steepest < last:
                last = steepest
            slope[position], added[position], option[position] = last, best_extra, best + 1
            at_gain += best_more
            at_weight += best_extra
