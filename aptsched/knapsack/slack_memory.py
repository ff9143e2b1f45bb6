"""The LP relaxation where memory is slack: a token budget and a sequence limit, and one option for each request."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aptsched.knapsack.dual import Price, minimum, priced
from aptsched.knapsack.options import Options
from aptsched.knapsack.residual import Residual
from aptsched.support.checks import Floats, Ints

OPEN = 64  # requests that are left open near the likely multipliers
CLOSE = 0.05  # relative to the token budget: near enough for the search to end
MAX_ROUNDS = 12  # of that search
Solved = tuple[Ints, list[float], list[int]]  # options [n], multipliers [D], requests that may be fractional


class Tangent(NamedTuple):
    """A price of tokens, that of sequences with it, the bound that both prove, and its slope: the tokens left."""

    price: float
    seq_price: float
    bound: float
    left: float


def without_memory(residual: Residual) -> tuple[Ints, Price] | None:
    """An optimal basic solution and its multipliers, as from `walk`; None where memory turns out to be short.

    Without memory only the most valuable option of each request matters, so the LP is much smaller. If all that it
    serves, fractional requests counted as whole, fits into memory, its optimum is the optimum under all limits.
    """
    limits = residual.limits
    best = most_valuable(residual)
    position = (best - 1) * len(best) + np.arange(len(best))
    blocks = residual.blocks.take(position)
    wanted = [float(np.add.reduce(each)) for each in (blocks, residual.tokens, residual.seqs)]
    short = [most / (1 + limit) for most, limit in zip(wanted, limits, strict=True)]
    if short[0] > max(short[1:]):
        return None
    others = np.flatnonzero(np.isfinite(limits[1:])) + 1
    options = Options.of_one(residual, residual.gain.take(position), others)
    option, multipliers, mixed = near_likely(options) or minimum(options)
    served = option > 0
    served[mixed] = True
    if int(np.add.reduce(blocks[served])) > limits[0]:
        return None
    return best * option, priced(options, multipliers)


def most_valuable(residual: Residual) -> Ints:
    """The option of the largest gain, [n]; of several the lightest."""
    best = np.ones(residual.num_requests, np.int64)
    gain, blocks = residual.gain[0], residual.blocks[0]
    for row in range(1, len(residual.gain)):
        more, other = residual.gain[row], residual.blocks[row]
        better = (more > gain) | ((more == gain) & (other < blocks))
        np.putmask(best, better, row + 1)
        if row + 1 < len(residual.gain):
            gain, blocks = np.where(better, more, gain), np.where(better, other, blocks)
    return best


def near_likely(options: Options) -> Solved | None:
    """The LP for tokens and sequences, with most requests decided by likely multipliers; None where these are useless.

    Requests that are nearly indifferent are left open, and their LP is solved. If no other request would decide
    otherwise at its multipliers, these are optimal for all: the LP's bound is nowhere above the bound of all requests,
    and equal there. If not, the walk over all requests goes on from there.
    """
    gain = options.gain[1]
    if len(options.limits) < 2 or len(gain) <= 2 * OPEN:
        return None
    tokens, seqs = options.take[:, 1]
    price = likely(np.where(seqs > 0, gain, -np.inf), tokens, options.limits.tolist())
    net = gain - options.cost(price)[1]
    far = np.abs(net)
    near = (far <= np.partition(far, OPEN)[OPEN]).nonzero()[0]
    option = (net > 0).astype(np.int64)
    option[near] = 0
    left = options.limits - options.used(option)
    if left.min() < 0:
        return None
    option[near], multipliers, mixed = minimum(options.some(near, left), price)
    found = np.array(multipliers)
    wrong = (gain - options.cost(found)[1] > 0) != option
    wrong[near] = False
    return minimum(options, found) if wrong.any() else (option, multipliers, near[mixed].tolist())


def likely(gain: Floats, tokens: Floats, limits: list[float]) -> Floats:
    """Multipliers of tokens and sequences at which the bound is about least, [2].

    The bound is convex in the price of tokens: from one with too many tokens served and one with too few, the next is
    where the tangents meet.
    """
    low = tangent(gain, tokens, limits, 0.0)
    if low.left >= 0:
        return np.array([low.price, low.seq_price])
    now = high = tangent(gain, tokens, limits, low.bound / max(limits[0], 1.0))  # at this price tokens suffice
    for _ in range(MAX_ROUNDS):
        if abs(now.left) <= CLOSE * limits[0] or low.left >= high.left:
            break
        meet = (high.bound - low.bound + low.left * low.price - high.left * high.price) / (low.left - high.left)
        now = tangent(gain, tokens, limits, min(max(meet, low.price), high.price))
        low, high = (now, high) if now.left < 0 else (low, now)
    return np.array([now.price, now.seq_price])


def tangent(gain: Floats, tokens: Floats, limits: list[float], price: float) -> Tangent:
    """The tangent at a price of tokens, with the best price of sequences: that of the last request to get one."""
    net = gain - price * tokens
    last = max(0, len(net) - max(1, int(limits[1])))
    seq_price = max(float(np.partition(net, last)[last]), 0.0)
    served = net >= max(seq_price, math.ulp(0.0))
    left = limits[0] - float(np.add.reduce(tokens * served))
    bound = limits[0] * price + limits[1] * seq_price + float(np.add.reduce(np.maximum(net - seq_price, 0.0)))
    return Tangent(price, seq_price, bound, left)
