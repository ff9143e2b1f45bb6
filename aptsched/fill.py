"""Filling what is left: single options that still fit, the best for their price first."""

from __future__ import annotations

import numpy as np

from aptsched.checks import Floats, Ints
from aptsched.order import leading
from aptsched.residual import Residual

AT_ONCE = 256  # moves looked at in a round


def room_left(residual: Residual, option: Ints) -> tuple[float, float, float]:
    """What options, [n], leave free: units of blocks, tokens, sequences; negative where they do not fit."""
    served = np.flatnonzero(option)
    blocks, tokens, seqs = residual.limits
    used = (residual.blocks[option[served] - 1, served], residual.tokens[served], residual.seqs[served])
    return blocks - int(used[0].sum()), tokens - int(used[1].sum()), seqs - int(used[2].sum())


def fill(residual: Residual, option: Ints, room: tuple[float, float, float], price: tuple[float, float, float]) -> Ints:
    """Improves a selection by moving single requests to better options that fit, until none does.

    Parameters
    ----------
    residual : Residual
    option : int array, [n]
        A feasible selection; it is not changed.
    room : tuple of float
        What it leaves free.
    price : tuple of float
        What a unit of each resource is worth, in seconds: moves are made in the order of their gain for that price.

    Returns
    -------
    int array, [n]
        Feasible, of at least the same value. A round makes the moves, in order, up to the first that does not fit.
    """
    option = option.copy()
    while room[0] > 0 or min(room[1:]) < np.inf:
        move, request, cost, worth = _moves(residual, option, room, price)
        order = leading(worth, AT_ONCE)
        if not len(order):
            break
        made = order[np.sort(np.unique(request[order], return_index=True)[1])]  # the best move of each request
        cost = cost[:, made]
        fitting = min(
            int(np.searchsorted(np.cumsum(row), free, side="right")) for row, free in zip(cost, room, strict=True)
        )
        made = made[:fitting]
        option[request[made]] = move[made]
        blocks, tokens, seqs = cost[:, :fitting].sum(axis=1).tolist()
        room = (room[0] - blocks, room[1] - tokens, room[2] - seqs)
    return option


def _moves(
    residual: Residual, option: Ints, room: tuple[float, float, float], price: tuple[float, float, float]
) -> tuple[Ints, Ints, Ints, Floats]:
    """The options that are worth more than the present ones and fit: option, request, what it takes, worth for that."""
    n = len(option)
    served = np.flatnonzero(option)
    at = (option[served] - 1, served)
    gain, blocks = np.zeros(n), np.zeros(n, np.int64)
    gain[served], blocks[served] = residual.gain[at], residual.blocks[at]
    fits = (residual.gain > gain) & (residual.blocks <= blocks + room[0])
    for free, use in ((room[1], residual.tokens), (room[2], residual.seqs)):
        if free < np.inf:
            fits &= (option > 0) | (use <= free)
    found = np.flatnonzero(fits)
    request = found % n
    new = option[request] == 0
    extra = residual.blocks.ravel()[found] - blocks[request]
    cost = np.stack([extra, residual.tokens[request] * new, residual.seqs[request] * new])
    paid = price[0] * cost[0] + price[1] * cost[1] + price[2] * cost[2]
    more = residual.gain.ravel()[found] - gain[request]
    return found // n + 1, request, cost, np.divide(more, paid, out=np.full(len(found), np.inf), where=paid > 0)
