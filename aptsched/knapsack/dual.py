"""The LP under several limits: the minimum of its Lagrangian dual, piecewise linear, by a walk along its edges."""

from __future__ import annotations

import math
from contextlib import suppress
from operator import mul

import numpy as np

from aptsched.knapsack.residual import Amounts, Residual
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled, row_by_row

TILTS = (0.0, 1e-9, 1e-7)  # by which gains are perturbed, should ties keep the walk from its end
TOLERANCE = 1e-11  # of a fraction, or of a limit
MAX_STEPS = 200  # more than ten times what any instance has needed
FLAT = 1e-12  # of what slopes are made of: less is rounding
Takes = tuple[Ints, Ints, Ints]  # what options take of blocks, tokens and sequences, [k + 1, n + 3]
Tie = tuple[int, int]  # a request, and an option as good as the one it has, so that the LP may mix them


def minimum(residual: Residual) -> tuple[Ints, Amounts]:
    """An optimal basic solution of the LP relaxation, rounded down: options, [n]; and its multipliers, in seconds.

    At most D requests are fractional; they have the lightest of the options mixed. A block's multiplier is of a unit.
    """
    for tilt in TILTS:
        walk = Walk(residual, 1.0 + tilt * np.linspace(0.0, 1.0, len(residual.tokens)) ** 2)
        with suppress(ZeroDivisionError):  # ties that do not determine the prices
            if any(not walk.step() for _ in range(MAX_STEPS)):
                break
    per_unit, per_token, per_seq = (max(price, 0.0) for price in walk.price)
    return walk.rounded_down(), (per_unit, per_token, per_seq)


class Walk:
    """The walk to the minimum of D over all prices.

        D(price) = price . limits + sum_i max_f (gain[f, i] - price . take[f, i]), f = 0 being the base

    It is convex and piecewise linear; its minimum is the optimum of the LP relaxation. What a limit leaves free is a
    request, too, the last three: its option gains nothing and takes more than the limit, and the fraction of it is the
    slack. So the LP takes exactly the limits, and D is least where no price is below 0. At a vertex three ties fix the
    prices, and complementary slackness gives the fractions of the tied options. Where one of these is negative, letting
    go of its tie and moving along the edge that the others leave lowers D. The minimum on an edge is found at once,
    across all kinks on the way: along it the problem is a knapsack, and its split is the next vertex. (The dual simplex
    method, with bound flipping and a basis of three rows.)

    Attributes
    ----------
    at : int array, [n + 3]
        A best option of each request; the request's ties compare other options with it.
    ties : list of Tie, [3]
    price : list of float, [3]
    """

    def __init__(self, residual: Residual, factor: Floats) -> None:
        k, n = residual.gain.shape
        gain, take = np.zeros((k + 1, n + 3)), np.zeros((3, k + 1, n + 3), np.int64)
        gain[1:, :n], gain[2:, n:] = np.where(residual.gain > 0, residual.gain * factor, -np.inf), -np.inf
        take[0, 1:, :n], take[1, 1:, :n], take[2, 1:, :n] = residual.options[1:]
        wanted = take.max(axis=1).sum(axis=1).tolist()
        self.limits = [int(min(limits)) for limits in zip(residual.limits, wanted, strict=True)]
        self.widths = [limit + 1 for limit in self.limits]
        take[range(3), 1, range(n, n + 3)] = self.widths
        self.gain, self.take, self.each = row_by_row(gain), row_by_row(take), np.arange(n + 3)
        self.at = gain.argmax(axis=0)
        self.ties, self.price = [(n + resource, 1) for resource in range(3)], [0.0, 0.0, 0.0]

    def step(self) -> bool:
        """Moves along the steepest edge; False where there is none, at the minimum."""
        edges = inverse([self.more(tie) for tie in self.ties])
        used = self.take.reshape(3, -1).take(self.at * len(self.at) + self.each, axis=1).sum(axis=1).tolist()
        left = [limit - amount for limit, amount in zip(self.limits, used, strict=True)]
        fractions = [sum(map(mul, left, edge)) for edge in edges]
        for request, _ in self.ties:
            same = [q for q, tie in enumerate(self.ties) if tie[0] == request]
            if sum(fractions[q] for q in same) > 1 + TOLERANCE:  # the option it has is the negative one
                q = max(same, key=fractions.__getitem__)
                before, self.at[request] = int(self.at[request]), self.ties[q][1]
                self.ties[q] = request, before
                return self.step()
        steepness = [-f / sum(map(mul, map(abs, edge), self.widths)) for f, edge in zip(fractions, edges, strict=True)]
        falls = [(steep, q) for q, steep in enumerate(steepness) if fractions[q] < -TOLERANCE]
        if falls:
            _, leaving = max(falls)
            self.ties[leaving] = self.end_of(edges[leaving], -fractions[leaving], leaving)
            gain, at = self.gain, self.at
            gains = [float(gain[option, request] - gain[at[request], request]) for request, option in self.ties]
            columns = inverse([self.more(tie) for tie in self.ties])
            self.price = [sum(map(mul, row, gains)) for row in zip(*columns, strict=True)]
        return bool(falls)

    def more(self, tie: Tie) -> list[int]:
        """What a tied option takes more than the one that its request has, [3]."""
        request, option = tie
        more: list[int] = (self.take[:, option, request] - self.take[:, self.at[request], request]).tolist()
        return more

    def end_of(self, edge: list[float], need: float, leaving: int) -> Tie:
        """Passes the kinks on an edge along which D falls by `need`, up to its minimum; the tie there."""
        held = np.array([-1 if q == leaving else request for q, (request, _) in enumerate(self.ties)])
        real, whole = np.empty((2, self.gain.size)), np.empty((2, self.gain.size), np.int64)
        given = (self.gain, (*self.take,), np.array(self.price), np.array(edge), self.at, held)
        m, end, held_request, held_option = kinks(*given, real, whole)
        (distance, drop), (request, option) = real[:, :m], whole[:, :m]
        before = (distance < end).nonzero()[0]
        order = before[distance[before].argsort(kind="stable")]
        passed = int(drop[order].cumsum().searchsorted(need))
        self.at[request[order[:passed]]] = option[order[:passed]]  # of several of a request the last one counts
        if passed < len(order):
            return int(request[order[passed]]), int(option[order[passed]])
        assert end < math.inf, "an edge without an end would make the bound unbounded"
        return held_request, held_option

    def rounded_down(self) -> Ints:
        """The options of the requests, [n], fractional ones in the lightest of theirs."""
        for request, option in self.ties:
            if max(self.more((request, option))) <= 0:
                self.at[request] = option
        return np.array(self.at[:-3])


def inverse(matrix: list[list[int]]) -> list[list[float]]:
    """The columns of the inverse of 3 rows of whole numbers, each entry correctly rounded; by cofactors."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = (
        (e * i - f * h, f * g - d * i, d * h - e * g),
        (c * h - b * i, a * i - c * g, b * g - a * h),
        (b * f - c * e, c * d - a * f, a * e - b * d),
    )
    determinant = sum(map(mul, (a, b, c), cofactors[0]))
    return [[entry / determinant for entry in row] for row in cofactors]


@compiled
def kinks(
    gain: Floats, take: Takes, price: Floats, edge: Floats, at: Ints, held: Ints, real: Floats, whole: Ints
) -> tuple[int, float, int, int]:
    """The kinks along an edge from a price: where a request's best option changes to one whose cost rises less.

    Written of each, [2, m]: its distance and by how much D falls less steeply from there on; which request changes, and
    to which option. Returned are how many there are, and distance, request and option of the first kink of requests
    that are held, [3]: it cannot be passed, for they have ties that stay.
    """
    (blocks, tokens, seqs), m, end, held_request, held_option = take, 0, math.inf, -1, -1
    for i in range(len(at)):
        now, to, reached = at[i], 0, 0.0
        while to >= 0:
            nearest, to, drop = math.inf, -1, 0.0
            for f in range(len(gain)):
                more = (blocks[now][i] - blocks[f][i], tokens[now][i] - tokens[f][i], seqs[now][i] - seqs[f][i])
                falls = edge[0] * more[0] + edge[1] * more[1] + edge[2] * more[2]
                if falls > 0:
                    less = gain[now][i] - gain[f][i] - (price[0] * more[0] + price[1] * more[1] + price[2] * more[2])
                    flat = FLAT * (abs(edge[0] * more[0]) + abs(edge[1] * more[1]) + abs(edge[2] * more[2]))
                    if less < nearest * falls and falls > flat:
                        nearest, to, drop = less / falls, f, falls
            now, reached = to, max(reached, nearest)
            if to >= 0 and (i == held[0] or i == held[1] or i == held[2]):
                end, held_request, held_option = (reached, i, to) if reached < end else (end, held_request, held_option)
                to = -1
            elif to >= 0:
                real[0][m], real[1][m], whole[0][m], whole[1][m] = reached, drop, i, to
                m += 1
    return m, end, held_request, held_option
