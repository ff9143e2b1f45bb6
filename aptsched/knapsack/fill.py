"""Filling what is left: single options that still fit, the best for their price first."""

from __future__ import annotations

import math

import numpy as np

from aptsched.knapsack.residual import Residual
from aptsched.problem.selection import served_positions
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled


def room_left(residual: Residual, option: Ints) -> tuple[float, float, float]:
    """The units of blocks, tokens and sequences that options, [n], leave free; negative where they do not fit."""
    at = served_positions(option, len(residual.gain))
    served = at % len(option)
    blocks, tokens, seqs = residual.limits
    used = (residual.blocks.take(at), residual.tokens.take(served), residual.seqs.take(served))
    return blocks - int(used[0].sum()), tokens - int(used[1].sum()), seqs - int(used[2].sum())


def fill(
    residual: Residual, option: Ints, room: tuple[float, float, float], price: tuple[float, float, float]
) -> tuple[Ints, bool]:
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
    option, tied : int array [n], bool
        Feasible, of at least the same value. A round makes the moves, in order, up to the first that does not fit.
        And whether moves that are equally good were put in order by the requests' positions.
    """
    if room[0] <= 0 and min(room[1:]) == math.inf:
        return option, False
    option = option.copy()
    uses = (residual.gain, residual.blocks, residual.tokens, residual.seqs)
    return option, move(*uses, np.array(price), option, np.array(room))


@compiled
def move(gain: Floats, blocks: Ints, tokens: Ints, seqs: Ints, price: Floats, option: Ints, room: Floats) -> bool:
    """Makes moves, written to `option`, [n], and `room`, [3], as long as there are any; whether there were ties."""
    tied = False
    while room[0] > 0 or room[1] < math.inf or room[2] < math.inf:
        worth, to = _best_moves(gain, blocks, tokens, seqs, price, option, room)
        movers = [i for row in range(len(gain)) for i in range(len(option)) if to[i] == row]
        if len(movers) == 0:
            break
        best = -math.inf
        for at in np.argsort(np.array([-worth[i] for i in movers]), kind="mergesort"):
            i = movers[at]
            tied, best = tied or worth[i] == best, worth[i]
            now, row = option[i] - 1, to[i]
            extra = blocks[row][i] - (blocks[now][i] if now >= 0 else 0)
            more_tokens, more_seqs = (0, 0) if now >= 0 else (tokens[i], seqs[i])
            if extra > room[0] or more_tokens > room[1] or more_seqs > room[2]:
                break
            option[i] = row + 1
            room[0], room[1], room[2] = room[0] - extra, room[1] - more_tokens, room[2] - more_seqs
    return tied


@compiled
def _best_moves(
    gain: Floats, blocks: Ints, tokens: Ints, seqs: Ints, price: Floats, option: Ints, room: Floats
) -> tuple[list[float], list[int]]:
    """The best move of each request that fits for itself: its gain for its price, and to which row, -1 for none."""
    worth, to = [0.0] * len(option), [-1] * len(option)
    for i in range(len(option)):
        now, paid, at_gain, at_blocks = option[i] - 1, 0.0, 0.0, 0
        if now >= 0:
            at_gain, at_blocks = gain[now][i], blocks[now][i]
        elif tokens[i] <= room[1] and seqs[i] <= room[2]:
            paid = price[1] * tokens[i] + price[2] * seqs[i]
        else:
            continue
        for row in range(len(gain)):
            extra = blocks[row][i] - at_blocks
            if extra <= room[0]:
                more = gain[row][i] - at_gain
                if more > 0:
                    cost = price[0] * extra + paid
                    each = more / cost if cost > 0 else math.inf
                    if each > worth[i] or to[i] < 0:
                        worth[i], to[i] = each, row
    return worth, to
