"""Filling what is left: single options that still fit, the best for their price first."""

from __future__ import annotations

import math

import numpy as np

from aptsched.knapsack.residual import Amounts, Residual
from aptsched.problem.batch_problem import Options
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled


def room_left(residual: Residual, option: Ints) -> Amounts:
    """What options, [n], leave free; negative where they do not fit."""
    at = option.nonzero()[0]
    used = residual.blocks[option[at] - 1, at], residual.tokens[at], residual.seqs[at]
    blocks, tokens, seqs = (limit - int(use.sum()) for limit, use in zip(residual.limits, used, strict=True))
    return blocks, tokens, seqs


def fill(residual: Residual, option: Ints, room: Amounts, price: Amounts) -> tuple[Ints, bool]:
    """Improves a feasible selection, [n], by moving single requests to better options that fit, until none does.

    `room` is what it leaves free; moves are made in the order of their gain for the `price` of what they take. A round
    makes moves, in order, up to the first that does not fit. Returned are the options, and whether positions put moves
    that are equally good in order.
    """
    if room[0] <= 0 and min(room[1:]) == math.inf:
        return option, False
    option = option.copy()
    return option, move(residual.options, price, option, np.array(room))


@compiled
def move(options: Options, price: Amounts, option: Ints, room: Floats) -> bool:
    """Makes moves, written to `option`, [n], and `room`, [3], as long as there are any; whether there were ties."""
    (gain, blocks, tokens, seqs), tied, found = options, False, True
    while found and (room[0] > 0 or room[1] < math.inf or room[2] < math.inf):
        worth, to = _best_moves(options, price, option, room)
        movers, best = [i for row in range(len(gain)) for i in range(len(option)) if to[i] == row], -math.inf
        found = len(movers) > 0
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
def _best_moves(options: Options, price: Amounts, option: Ints, room: Floats) -> tuple[list[float], list[int]]:
    """The best move of each request that fits for itself: its gain for its price, and to which row, -1 for none."""
    (gain, blocks, tokens, seqs), worth, to = options, [0.0] * len(option), [-1] * len(option)
    for i in range(len(option)):
        now, free = option[i] - 1, option[i] > 0 or (tokens[i] <= room[1] and seqs[i] <= room[2])
        at_gain, at_blocks = (gain[now][i], blocks[now][i]) if now >= 0 else (0.0, 0)
        paid = 0.0 if now >= 0 else price[1] * tokens[i] + price[2] * seqs[i]
        for row in range(len(gain) if free else 0):
            extra, more = blocks[row][i] - at_blocks, gain[row][i] - at_gain
            if extra <= room[0] and more > 0:
                cost = price[0] * extra + paid
                each = more / cost if cost > 0 else math.inf
                if each > worth[i] or to[i] < 0:
                    worth[i], to[i] = each, row
    return worth, to
