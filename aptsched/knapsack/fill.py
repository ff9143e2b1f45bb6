"""Filling what is left: single options that still fit, the best for their price first."""

from __future__ import annotations

import numpy as np

from aptsched.knapsack.prefix import largest
from aptsched.knapsack.residual import Residual
from aptsched.problem.selection import served_positions
from aptsched.support.checks import Floats, Ints

AT_ONCE = 64  # moves looked at in a round


def room_left(residual: Residual, option: Ints) -> tuple[float, float, float]:
    """The units of blocks, tokens and sequences that options, [n], leave free; negative where they do not fit."""
    at = served_positions(option, len(residual.gain))
    served = at % len(option)
    blocks, tokens, seqs = residual.limits
    used = (residual.blocks.take(at), residual.tokens.take(served), residual.seqs.take(served))
    return blocks - int(used[0].sum()), tokens - int(used[1].sum()), seqs - int(used[2].sum())


def fill(residual: Residual, option: Ints, room: tuple[float, float, float], price: tuple[float, float, float]) -> Ints:
    """Improves a selection by moving single requests to better options that fit, until none does.

    Parameters
    ----------
    residual : Residual
    option : int array, [n]
        A feasible selection; it is not changed.
    room : tuple of float
        What the selection leaves free.
    price : tuple of float
        What a unit of each resource is worth, in seconds: moves are made in the order of their gain for that price.

    Returns
    -------
    int array, [n]
        Feasible, of at least the same value. A round makes the moves, in order, up to the first that does not fit.
    """
    option, n = option.copy(), len(option)
    while room[0] > 0 or min(room[1:]) < np.inf:
        moves, blocks = _moves(residual, option, room, price)
        if not len(moves):
            break
        row, request = np.divmod(moves, n)
        new = option[request] == 0
        ends = np.array([blocks, residual.tokens[request] * new, residual.seqs[request] * new]).cumsum(axis=1)
        fitting = min(int(end.searchsorted(free, side="right")) for end, free in zip(ends, room, strict=True))
        option[request[:fitting]] = row[:fitting] + 1
        used = ends[:, fitting - 1].tolist()
        room = (room[0] - used[0], room[1] - used[1], room[2] - used[2])
    return option


def _moves(
    residual: Residual, option: Ints, room: tuple[float, float, float], price: tuple[float, float, float]
) -> tuple[Ints, Ints]:
    """Options that are worth more than the present ones and fit, the best for its price of each request first.

    Returns their positions in a flat [k n], and the blocks that they take more than the present ones.
    """
    n, served = len(option), option > 0
    position = (option - 1) * n + np.arange(n)  # anything where not served
    more = residual.gain - residual.gain.take(position) * served
    extra = residual.blocks - residual.blocks.take(position) * served
    fits = more > 0
    fits &= extra <= room[0]
    found = fits.ravel().nonzero()[0]
    paid: Floats | float = 0.0
    if len(found) and min(room[1:]) < np.inf:
        request = found % n
        new = ~served.take(request)
        tokens, seqs = residual.tokens.take(request) * new, residual.seqs.take(request) * new
        fitting = ((tokens <= room[1]) & (seqs <= room[2])).nonzero()[0]
        found, paid = found.take(fitting), (price[1] * tokens + price[2] * seqs).take(fitting)
    if not len(found):
        return found, found
    request, blocks = found % n, extra.ravel().take(found)
    costs = price[0] * blocks + paid
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        worth = more.ravel().take(found) / np.maximum(costs, 0.0, out=costs)
    best = largest(worth, AT_ONCE)
    best = best[np.sort(np.unique(request[best], return_index=True)[1])]  # the best move of each request
    return found[best], blocks[best]
