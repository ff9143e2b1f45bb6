"""Reduction by bounds: the options that a selection better than the incumbent may still have."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from operator import mul

import numpy as np

from aptsched.knapsack.relaxation import Relaxation
from aptsched.knapsack.residual import Residual
from aptsched.problem.exact_sum import UNIT_ROUNDOFF
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled

CHUNK = 128  # terms that are added up for themselves, so that sums of many are not rounded as often


@dataclass(frozen=True, eq=False)
class Alternatives:
    """Options other than the LP's own, [m], request by request.

    Attributes
    ----------
    request, option : int array
    loss : float array
        How much the bound falls, in seconds, if the request has this option: no selection whose losses add up to more
        than the gap is better than the incumbent.
    gain : float array
        Gain above that of the LP's option.
    take : int array, [D, m]
        How much more of each resource it takes than the LP's option.
    """

    request: Ints
    option: Ints
    loss: Floats
    gain: Floats
    take: Ints

    @property
    def starts(self) -> Ints:
        """The position at which each request begins."""
        begins = np.ones(len(self.request), np.bool_)
        np.not_equal(self.request[1:], self.request[:-1], out=begins[1:])
        return begins.nonzero()[0]

    def stages(self) -> list[slice]:
        """The positions of each request."""
        bounds = [*self.starts.tolist(), len(self.request)]
        return [slice(start, end) for start, end in pairwise(bounds)]


class Pricing:
    """A residual at the LP's multipliers, for the resources given: the others are taken as unlimited.

    Attributes
    ----------
    bound : float
        Upper bound on the gain of any selection, in the residual's `unit_s`, as all gains and losses.
    rounding : float
        Smaller differences may be rounding errors.
    star : int array, [n]
        The best option of each request at these multipliers.
    star_gain : float
        What these options gain together.
    slack : int array, [D]
        What they leave free of each resource; it may be negative.
    """

    def __init__(self, residual: Residual, relaxation: Relaxation, resources: list[int]) -> None:
        self.resources = resources
        self.options = (residual.gain, residual.blocks, residual.tokens, residual.seqs)
        self.price = [relaxation.price[resource] for resource in resources]
        per_block, per_token, per_seq = (
            price if resource in resources else 0.0 for resource, price in enumerate(relaxation.price)
        )
        self.prices = (per_block, per_token, per_seq)
        n = residual.num_requests
        self.star = np.empty(n, np.int64)
        best, self.star_gain, *used = best_options(*self.options, *self.prices, self.star)
        limits = [residual.limits[resource] for resource in resources]
        self.slack = [int(limit) - used[resource] for limit, resource in zip(limits, resources, strict=True)]
        paid: float = sum(map(mul, self.price, limits))
        self.bound = paid + best
        self.rounding = (8 * CHUNK + n // CHUNK) * UNIT_ROUNDOFF * (paid + self.star_gain)

    def worth(self, option: Ints) -> float:
        """The gain of a selection, [n]."""
        worth: float = gain_of(self.options[0], option)
        return worth

    def gap(self, worth: float) -> float:
        """By how much the bound exceeds a selection's gain, plus the rounding; 0 where rounding may explain it."""
        gap = self.bound - worth
        return gap + self.rounding if gap > self.rounding else 0.0

    def allowance(self, worth: float) -> float:
        """The most that the options of a selection better than one of this gain lose, with a margin for rounding."""
        return max(self.bound - worth, 0.0) + 2 * self.rounding

    def changed(self, alternatives: Alternatives, chosen: Ints) -> Ints:
        """The LP's options with the alternatives chosen."""
        changed = self.star.copy()
        changed[alternatives.request[chosen]] = alternatives.option[chosen]
        return changed

    def near(self, gap: float) -> Alternatives:
        """All alternatives with a loss of at most the gap."""
        most = self.options[0].size
        whole, real = np.empty((5, most), np.int64), np.empty((2, most))
        m = near_options(*self.options, *self.prices, self.star, gap, whole, real)
        take = whole[2:] if len(self.resources) == 3 else whole[[resource + 2 for resource in self.resources]]
        return Alternatives(whole[0, :m], whole[1, :m], real[0, :m], real[1, :m], take[:, :m])


@compiled
def best_options(
    gain: Floats,
    blocks: Ints,
    tokens: Ints,
    seqs: Ints,
    per_block: float,
    per_token: float,
    per_seq: float,
    star: Ints,
) -> tuple[float, float, int, int, int]:
    """Writes the best option of each request at a price, [n]: what all gain beyond their price, their gain and use."""
    best, best_gain, num_blocks, num_tokens, num_seqs = 0.0, 0.0, 0, 0, 0
    for start in range(0, len(star), CHUNK):
        some, some_gain = 0.0, 0.0
        for i in range(start, min(start + CHUNK, len(star))):
            shared, most, at = per_token * tokens[i] + per_seq * seqs[i], 0.0, -1
            for row in range(len(gain)):
                value = gain[row][i]
                if value > 0:
                    reduced = value - (per_block * blocks[row][i] + shared)
                    if reduced > most:
                        most, at = reduced, row
            star[i] = at + 1
            if at >= 0:
                some += most
                some_gain += gain[at][i]
                num_blocks += blocks[at][i]
                num_tokens += tokens[i]
                num_seqs += seqs[i]
        best, best_gain = best + some, best_gain + some_gain
    return best, best_gain, num_blocks, num_tokens, num_seqs


@compiled
def gain_of(gain: Floats, option: Ints) -> float:
    """The gain of the requests' options, [n], in all."""
    total = 0.0
    for start in range(0, len(option), CHUNK):
        some = 0.0
        for i in range(start, min(start + CHUNK, len(option))):
            if option[i] > 0:
                some += gain[option[i] - 1][i]
        total += some
    return total


@compiled
def near_options(
    gain: Floats,
    blocks: Ints,
    tokens: Ints,
    seqs: Ints,
    per_block: float,
    per_token: float,
    per_seq: float,
    star: Ints,
    gap: float,
    whole: Ints,
    real: Floats,
) -> int:
    """Writes request, option and use, [5, m], loss and gain, [2, m], of the alternatives near the gap; returns m."""
    m = 0
    for i in range(len(star)):
        shared, now = per_token * tokens[i] + per_seq * seqs[i], star[i] - 1
        at_gain, at_blocks, best = 0.0, 0, 0.0
        if now >= 0:
            at_gain, at_blocks = gain[now][i], blocks[now][i]
            best = at_gain - (per_block * at_blocks + shared)
            if best <= gap:  # not to be served is an alternative
                whole[0][m], whole[1][m], real[0][m], real[1][m] = i, 0, best, -at_gain
                whole[2][m], whole[3][m], whole[4][m] = -at_blocks, -tokens[i], -seqs[i]
                m += 1
        for row in range(len(gain)):
            value = gain[row][i]
            if row != now and value > 0:
                weight = blocks[row][i]
                loss = best - (value - (per_block * weight + shared))
                if loss <= gap:
                    whole[0][m], whole[1][m], real[0][m], real[1][m] = i, row + 1, loss, value - at_gain
                    whole[2][m] = weight - at_blocks
                    whole[3][m], whole[4][m] = (0, 0) if now >= 0 else (tokens[i], seqs[i])
                    m += 1
    return m
