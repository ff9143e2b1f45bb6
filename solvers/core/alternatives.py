"""Reduction by bounds: the options that a selection better than the incumbent may still have."""

from __future__ import annotations

import math

from aptsched.problem.batch_problem import Options
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled, filled

Prices = tuple[float, float, float, float]  # of blocks, tokens, sequences, and of nothing: 0
Resources = tuple[Prices, Ints, Ints]  # which of these are limited, [3], the last ones; their limits or slack, [3]
Table = tuple[Ints, tuple[Floats, Floats], Ints]  # request, option and take, [5, m]; loss and gain, [m]; the best, [n]
ROUNDINGS = 1024  # more than any loss goes through


@compiled
def near(
    options: Options, resources: Resources, option: Ints, roundoff: float, table: Table
) -> tuple[int, float, float, float]:
    """The best option of each request at the LP's multipliers, and the others that may be in a better selection.

    Parameters
    ----------
    options : tuple of array
        Of the residual.
    resources
        The multipliers; the resources that count as limited, the price of others is 0; their limits, where what the
        best options leave free is written, maybe less than 0.
    option : int array, [n]
        The incumbent.
    roundoff : float
        What an operation may be rounded by, relative to its result; 0 in whole numbers.
    table
        Written: the best options; and of m others, request by request: request, option, and how much more it takes of
        each resource than the best; by how much the bound falls if the request has it (its loss, in seconds), and its
        gain above that of the best. No selection whose losses add up to more than the gap is better than the incumbent.

    Returns
    -------
    m, gap, incumbent, rounding : int, float, float, float
        How many there are; by how much the bound exceeds the incumbent's gain, plus the rounding, or 0 where rounding
        may explain it; the incumbent's gain above that of the best options; smaller differences may be rounding errors.
    """
    (gain, blocks, tokens, seqs), (price, which, slack), (whole, real, star), m = options, resources, table, 0
    closest, most, none = filled(0 * price[0], len(star)), filled(0 * price[0], len(star)), 0 * price[0]
    _best(options, price, most, closest, star)
    below, best_gain, paid, num_different, num_blocks, num_tokens, num_seqs = none, none, none, 0, 0, 0, 0
    for i in range(len(star)):
        served = min(star[i], 1)
        row, other = star[i] - served, max(option[i] - 1, 0)
        best_gain += gain[row][i] * served
        num_blocks += blocks[row][i] * served
        num_tokens += tokens[i] * served
        num_seqs += seqs[i] * served
        if star[i] != option[i]:
            below += gain[row][i] * served - gain[other][i] * (option[i] > 0)
            num_different += 1
    gap, used = below, (num_blocks, num_tokens, num_seqs, 0)
    for r in range(3):
        paid += price[which[r]] * slack[r]
        slack[r] -= used[which[r]]
        gap += price[which[r]] * slack[r]
    rounding = (ROUNDINGS + 2 * num_different) * roundoff * (paid + best_gain)
    if gap <= rounding:
        return 0, 0 * gap, -below, rounding
    gap += rounding
    for i in range(len(star)):
        if closest[i] <= gap:
            now, shared = star[i], price[1] * tokens[i] + price[2] * seqs[i]
            at_gain, at_blocks = (gain[now - 1][i], blocks[now - 1][i]) if now > 0 else (0 * gap, 0)
            for f in range(len(gain) + 1):
                value, weight = (gain[f - 1][i], blocks[f - 1][i]) if f > 0 else (0 * gap, 0)
                loss = most[i] - (value - (price[0] * weight + shared)) if f > 0 else most[i]
                if f != now and (f == 0 or value > 0) and loss <= gap:
                    whole[0][m], whole[1][m], real[0][m], real[1][m] = i, f, loss, value - at_gain
                    more = (f > 0) - (now > 0)
                    take = (weight - at_blocks, more * tokens[i], more * seqs[i], 0)
                    for r in range(3):
                        whole[2 + r][m] = take[which[r]]
                    m += 1
    return m, gap, -below, rounding


@compiled
def _best(options: Options, price: Prices, most: Floats, closest: Floats, star: Ints) -> None:
    """Writes the best option of each request, what it gains beyond its price, and how much less the next best does."""
    (gain, blocks, tokens, seqs), per_block, per_token, per_seq = options, price[0], price[1], price[2]
    for i in range(len(star)):
        star[i], most[i], closest[i] = 0, 0 * per_block, math.inf
    for row in range(len(gain)):
        for i in range(len(star)):
            if gain[row][i] > 0:  # then without branches, which nobody could predict
                reduced = gain[row][i] - (per_block * blocks[row][i] + (per_token * tokens[i] + per_seq * seqs[i]))
                less = most[i] - reduced
                star[i] = row + 1 if less < 0 else star[i]
                closest[i] = max(-less, min(closest[i], less))
                most[i] = max(most[i], reduced)
