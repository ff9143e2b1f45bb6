"""The LP relaxation, rounded down: what the greedy and the exact method start from."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aptsched.knapsack.dual import minimum
from aptsched.knapsack.fill import room_left
from aptsched.knapsack.increments import LEAST, take
from aptsched.knapsack.residual import Amounts, Residual
from aptsched.support.checks import Ints

MOST = 2**62  # more than any sum of blocks


class Relaxation(NamedTuple):
    """An optimum of the LP relaxation, rounded down.

    Attributes
    ----------
    option : int array, [n]
        Options of the residual (0 = the base); a fractional request has the lightest of the options it mixes.
    single : (request, option) or None
        An option worth at least as much as any fractional request adds; None where the LP's optimum is integral.
    price, room : tuple of float
        Optimal multipliers, in the residual's `unit_s`; and what the options leave free, inf where unlimited.
    tied : bool
        Whether equal slopes were put in order by the requests' positions.
    """

    option: Ints
    single: tuple[int, int] | None
    price: Amounts
    room: Amounts
    tied: bool = False


def relax(residual: Residual, refill: bool = False) -> Relaxation:
    """Solve the relaxation, by the split of the increments where that suffices, else on the Lagrangian dual.

    That is where tokens and sequences suffice for all that it serves, fractional requests counted as whole. With
    `refill`, increments that still fit are then taken after the LP's, if tokens and sequences suffice for them, too.
    """
    if min(residual.limits[1:]) == math.inf:
        return knapsack(residual, refill)
    found = within_all(residual, knapsack(residual))
    if found is not None:
        return (within_all(residual, knapsack(residual, refill)) if refill else None) or found
    option, price = minimum(residual)
    row, request = divmod(int(residual.gain.argmax()), len(option))
    return Relaxation(option, (request, row + 1), price, room_left(residual, option))


def within_all(residual: Residual, found: Relaxation) -> Relaxation | None:
    """A relaxation with memory alone as one under all limits; None where tokens or sequences do not suffice for it."""
    blocks, tokens, seqs = room_left(residual, found.option)
    whole = None if found.single is None or found.option[found.single[0]] else found.single[0]  # not served yet
    more_tokens, more_seqs = (0, 0) if whole is None else (residual.tokens[whole], residual.seqs[whole])
    if more_tokens > tokens or more_seqs > seqs:
        return None
    return found if blocks <= 0 else found._replace(room=(blocks, tokens, seqs))


def knapsack(residual: Residual, refill: bool = False) -> Relaxation:
    """Algorithm 1 with memory as the only limit: the longest run of increments that fits, by falling slope."""
    option, free = np.zeros(len(residual.value), np.int64), residual.limits[0]
    most = int(min(free, MOST))
    request, to, slope, room, tied = take(residual.gain, residual.blocks, residual.value, most, refill, option)
    single, slope = ((request, to), slope) if slope > LEAST else (None, 0.0)
    return Relaxation(option, single, (slope, 0.0, 0.0), (free - (most - room), math.inf, math.inf), tied)
