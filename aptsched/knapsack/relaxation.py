"""The LP relaxation, rounded down: what the greedy and the exact method start from."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aptsched.knapsack.fill import room_left
from aptsched.knapsack.hull import increments
from aptsched.knapsack.prefix import take
from aptsched.knapsack.residual import Residual
from aptsched.knapsack.slack_memory import most_valuable
from aptsched.knapsack.walk import walk
from aptsched.problem.selection import Multipliers
from aptsched.support.checks import Ints

FEW = 256  # up to so many requests a split is cheap beside the walk that it may spare


class Relaxation(NamedTuple):
    """An optimum of the LP relaxation, rounded down.

    Attributes
    ----------
    option : int array, [n]
        Options of the residual (0 = the base); a fractional request has the lightest of the options it mixes.
    single : (request, option) or None
        An option worth at least as much as any fractional request adds; None where the LP's optimum is integral.
    price : tuple of float
        Optimal multipliers of blocks (per unit), tokens and sequences, in the residual's `unit_s`.
    room : tuple of float
        Blocks (in units), tokens and sequences that the options leave free; inf where unlimited.
    tied : bool
        Whether equal slopes were put in order by the requests' positions.
    """

    option: Ints
    single: tuple[int, int] | None
    price: tuple[float, float, float]
    room: tuple[float, float, float]
    tied: bool = False

    def multipliers(self, unit: int, unit_s: float) -> Multipliers:
        """The multipliers of the problem, in seconds, where a unit is so many blocks and `unit_s` so many seconds."""
        return Multipliers(self.price[0] / unit * unit_s, self.price[1] * unit_s, self.price[2] * unit_s)


def relax(residual: Residual, refill: bool = False) -> Relaxation:
    """Solve the relaxation, by the split of the increments where that suffices, else by the walk on the dual's edges.

    If tokens and sequences suffice for all that the split serves, fractional requests counted as whole, the optimum
    with memory alone is the optimum under all limits. With `refill` and a split, increments that still fit are taken
    after the LP's.
    """
    if min(residual.limits[1:]) == math.inf:
        return knapsack(residual, refill)
    if memory_may_decide(residual):
        found = within_all(residual, knapsack(residual, refill))
        if found is None and refill:  # the refill may have broken a limit that the LP's own increments keep
            found = within_all(residual, knapsack(residual))
        if found is not None:
            return found
    option, price = walk(residual)
    best, n = int(residual.gain.argmax()), residual.num_requests
    return Relaxation(option, (best % n, best // n + 1), price, room_left(residual, option))


def memory_may_decide(residual: Residual) -> bool:
    """Whether to try memory alone first: there are few requests, or blocks are the scarcest resource."""
    if residual.num_requests <= FEW:
        return True
    asked = (residual.blocks[0], residual.tokens, residual.seqs)
    short = [int(np.add.reduce(use)) / (1 + limit) for use, limit in zip(asked, residual.limits, strict=True)]
    return short[0] >= max(short[1:])


def within_all(residual: Residual, found: Relaxation) -> Relaxation | None:
    """A relaxation with memory alone as one under all limits; None where tokens or sequences do not suffice for it."""
    blocks, tokens, seqs = room_left(residual, found.option)
    if found.single is not None and not found.option[found.single[0]]:
        request = found.single[0]
        within = residual.tokens[request] <= tokens and residual.seqs[request] <= seqs
    else:
        within = min(tokens, seqs) >= 0
    if not within:
        return None
    return found if blocks <= 0 else found._replace(room=(blocks, tokens, seqs))


def knapsack(residual: Residual, refill: bool = False) -> Relaxation:
    """Algorithm 1 with memory as the only limit: the longest run of increments that fits, by falling slope."""
    n = residual.num_requests
    if residual.limits[0] == math.inf:
        return Relaxation(best_of_each(residual), None, (0.0, 0.0, 0.0), (math.inf, math.inf, math.inf))
    steps = increments(residual.gain, residual.blocks)
    num_taken, option = np.zeros(n, np.int64), np.zeros(n, np.int64)
    key, room = steps.slope.view(np.int64), int(residual.limits[0])
    left_out, left, tied = take(key, steps.weight, steps.option, residual.value, room, refill, num_taken, option)
    if left_out < 0:  # all requests have their best option, even where its slope underflows
        best = best_of_each(residual)
        free = int(room_left(residual, best)[0])
        option, left = (best, free) if free >= 0 else (option, left)
        return Relaxation(option, None, (0.0, 0.0, 0.0), (left, math.inf, math.inf))
    price = (float(steps.slope[left_out]), 0.0, 0.0)
    return Relaxation(option, (left_out % n, int(steps.option[left_out])), price, (left, math.inf, math.inf), tied)


def best_of_each(residual: Residual) -> Ints:
    """The most valuable option of each request, the base where none is offered, [n]."""
    option = most_valuable(residual)
    option *= np.maximum.reduce(residual.gain) > 0
    return option
