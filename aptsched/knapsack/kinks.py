"""Kinks along an edge of the Lagrangian dual: where a request's best option changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.support.checks import Floats, Ints


@dataclass(eq=False)
class Kinks:
    """Where along an edge a request's best option changes, [m].

    Attributes
    ----------
    distance : float array
        From the edge's start; inf where nothing changes.
    drop : float array
        By how much the bound falls less steeply from there on.
    request, option : int array
        Which request changes, and to which option.
    """

    distance: Floats
    drop: Floats
    request: Ints
    option: Ints

    def at(self, positions: Ints) -> Kinks:
        """The kinks at the given positions."""
        return Kinks(self.distance[positions], self.drop[positions], self.request[positions], self.option[positions])


def next_kinks(reduced: Floats, slope: Floats, option: Ints, request: Ints, flat: float) -> Kinks:
    """The next change of each request from its option to one of lower slope, the nearest of several.

    `reduced` and `slope` have a column for each of the requests, [k + 1, m]; slopes that differ by `flat` are equal.
    """
    width = len(request)
    column = np.arange(width)
    now = option * width + column
    falls = slope.take(now) - slope
    distance = reduced.take(now) - reduced
    with np.errstate(divide="ignore", invalid="ignore"):
        distance /= falls
    np.putmask(distance, falls <= flat, np.inf)
    least, nearest = distance[0], np.zeros(width, np.int64)
    for other in range(1, len(slope)):
        np.putmask(nearest, distance[other] < least, other)
        least = np.minimum(least, distance[other])
    return Kinks(np.maximum(least, 0.0), falls.take(nearest * width + column), request, nearest)


def beyond(reduced: Floats, slope: Floats, kinks: Kinks, seen: Ints, flat: float, last: float) -> Kinks | None:
    """The kinks that follow on those seen in their requests, before the last one to be passed; None without any."""
    request, option = kinks.request[seen], kinks.option[seen]
    rates = slope.take(request, axis=1)
    goes_on = rates.min(axis=0) < slope[option, request] - flat
    if not goes_on.any():
        return None
    request, option = request[goes_on], option[goes_on]
    more = next_kinks(reduced.take(request, axis=1), rates[:, goes_on], option, request, flat)
    more.distance = np.maximum(more.distance, kinks.distance[seen[goes_on]])
    before = (more.distance < last).nonzero()[0]
    return more.at(before) if len(before) else None


def joined(some: Kinks, more: Kinks) -> Kinks:
    """Both, one after the other."""
    pairs = ((getattr(some, name), getattr(more, name)) for name in ("distance", "drop", "request", "option"))
    return Kinks(*(np.concatenate(pair) for pair in pairs))


def crossing(kinks: Kinks, need: float, end: float) -> tuple[Ints, int | None]:
    """Positions of the kinks passed before `end`, and of the one at which the drops reach `need`, if any does."""
    before = (kinks.distance < end).nonzero()[0]
    order = before[kinks.distance[before].argsort(kind="stable")]
    passed = int(kinks.drop[order].cumsum().searchsorted(need))
    return np.sort(order[:passed]), int(order[passed]) if passed < len(order) else None
