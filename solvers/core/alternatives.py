"""Reduction by bounds: the options that a selection better than the incumbent may still have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from aptsched.knapsack.options import Options
from aptsched.knapsack.relaxation import Relaxation
from aptsched.knapsack.residual import Residual
from aptsched.support.checks import Bools, Floats, Ints

ROUNDING = 2.0**-43  # of the sum of all terms' sizes: smaller differences may be rounding errors


@dataclass(frozen=True, eq=False)
class Alternatives:
    """Options other than the LP's own, [m]; `by_request` sorts them by request, the requests by their least loss.

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

    def at(self, positions: Ints | Bools) -> Alternatives:
        """The alternatives at the given positions."""
        return Alternatives(
            self.request[positions],
            self.option[positions],
            self.loss[positions],
            self.gain[positions],
            self.take[:, positions],
        )

    def by_request(self) -> Alternatives:
        """The same sorted by request, the request with the least loss first, each request's by rising loss."""
        least = np.full(self.request.max(initial=-1) + 1, np.inf)
        np.minimum.at(least, self.request, self.loss)
        return self.at(np.lexsort((self.loss, self.request, least[self.request])))

    def of_first(self, count: int) -> Alternatives:
        """The alternatives of the first `count` requests."""
        if len(self.starts) <= count:
            return self
        return self.at(np.arange(self.starts[count]))

    @cached_property
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
    slack : int array, [D]
        What these options leave free of each resource; it may be negative.
    """

    def __init__(self, residual: Residual, relaxation: Relaxation, resources: Ints) -> None:
        self.options = Options.of(residual, resources)
        self.price = np.array(relaxation.price)[resources]
        self.gain, self.limits = self.options.gain, self.options.limits
        reduced = self.gain - self.options.cost(self.price)
        best, self.star = reduced[0], np.zeros(reduced.shape[1], np.int64)
        for option in range(1, len(reduced)):
            np.putmask(self.star, reduced[option] > best, option)
            best = np.maximum(best, reduced[option])
        self.loss = best - reduced
        paid = float((self.price * self.limits).sum())
        star_gain = self.gain.ravel()[self.options.position(self.star)]
        self.star_gain = float(star_gain.sum())
        self.bound = paid + float(best.sum())
        self.rounding = ROUNDING * (paid + float(np.abs(star_gain).sum()))
        self.slack = (self.limits - self.options.used(self.star)).astype(np.int64)

    def worth(self, option: Ints) -> float:
        """The gain of a selection, [n]."""
        return float(self.gain.ravel()[self.options.position(option)].sum())

    def gap(self, option: Ints) -> float:
        """By how much the bound exceeds a selection's gain, plus the rounding; 0 where rounding may explain it."""
        gap = self.bound - self.worth(option)
        return gap + self.rounding if gap > self.rounding else 0.0

    def allowance(self, option: Ints) -> float:
        """The most that the options of a better selection lose in all, with a margin for rounding."""
        return max(self.bound - self.worth(option), 0.0) + 2 * self.rounding

    def changed(self, alternatives: Alternatives, chosen: Ints) -> Ints:
        """The LP's options with the alternatives chosen."""
        changed = self.star.copy()
        changed[alternatives.request[chosen]] = alternatives.option[chosen]
        return changed

    def better(self, option: Ints, alternatives: Alternatives, chosen: Ints) -> Ints:
        """The LP's options with the alternatives chosen, if that is worth more than `option`."""
        changed = self.changed(alternatives, chosen)
        fits = (self.options.used(changed) <= self.limits).all()
        return changed if fits and self.worth(changed) > self.worth(option) else option

    def alternatives(self, gap: float) -> Alternatives:
        """The alternatives with a loss of at most the gap; of many that take the same, only what it pays for."""
        found = self.near(gap)
        return found.at(_affordable(found, np.bincount(found.request, minlength=len(self.star)), gap)).by_request()

    def near(self, gap: float) -> Alternatives:
        """All alternatives with a loss of at most the gap, in any order."""
        n = len(self.star)
        near = (self.loss <= gap).ravel()
        near[self.options.position(self.star)] = False
        position = near.nonzero()[0]
        option, request = np.divmod(position, n)
        star = self.options.position(self.star)[request]
        take = self.options.take.reshape(len(self.slack), self.gain.size)
        return Alternatives(
            request,
            option,
            self.loss.ravel()[position],
            self.gain.ravel()[position] - self.gain.ravel()[star],
            (take[:, position] - take[:, star]).astype(np.int64),
        )


def _affordable(found: Alternatives, alternatives_of: Ints, gap: float) -> Bools:
    """Whether to keep each alternative, [m]: of requests with only one, those that take the same are limited.

    Of these only the cheapest are kept, as many as the gap pays for together: exchanging one for a cheaper one that is
    not used loses nothing.
    """
    keep: Bools = np.ones(len(found.request), np.bool_)
    single = (alternatives_of[found.request] == 1).nonzero()[0]
    if not len(single):
        return keep
    order = single[np.lexsort((found.loss[single], *found.take[:, single]))]
    take, loss = found.take[:, order], found.loss[order]
    first = np.ones(len(order), np.bool_)
    (take[:, 1:] != take[:, :-1]).any(axis=0, out=first[1:])
    spent = loss.cumsum()
    before = (spent - loss)[first]
    keep[order] = spent - before[first.cumsum() - 1] <= gap * (1 + 1e-9)
    return keep
