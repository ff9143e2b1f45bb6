"""The price of the machine's time, which rises with the work that was accepted and is not done yet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from aptsched.support.arrays import any_of
from aptsched.support.checks import Bools, Floats

WINDOW = 300  # arrivals over which means are taken
MOST = 1e3  # times the mean cost: what a request is worth at most


@dataclass
class BacklogPrice:
    """What attaining the objectives of a request is worth, in seconds of the whole machine.

        worth = strength * mean cost * (mean duration / backlog) ** power

    The bid price of a second is 1 / worth. The backlog is what dual ascent on the machine's time adds up: seconds
    accepted less seconds gone by. The means are over those that arrived lately, in the units of the price: what one
    costs, and how long that one stays of whom a second is, all of them served at once.

    Attributes
    ----------
    strength, power : float
    """

    strength: float
    power: float
    _num_seen: int = field(default=0, init=False)
    _cost_s: float = field(default=0.0, init=False)
    _square: float = field(default=0.0, init=False)

    def add(self, cost_s: Floats, duration_s: Floats) -> None:
        """Takes note of requests that have arrived: what each costs, and how long it takes, [n]."""
        for cost, square in zip(cost_s.tolist(), (cost_s * duration_s).tolist(), strict=True):
            self._num_seen += 1
            share = 1.0 / min(self._num_seen, WINDOW)
            self._cost_s += share * (cost - self._cost_s)
            self._square += share * (square - self._square)

    def worth_s(self, backlog_s: Floats) -> Floats:
        """What a request is worth at each backlog, [n]."""
        duration_s = self._square / self._cost_s if self._cost_s else 0.0
        rise = (duration_s / np.maximum(backlog_s, 1e-9)) ** self.power
        worth_s: Floats = self._cost_s * np.minimum(self.strength * rise, MOST)
        return worth_s


def accepted(price: BacklogPrice, cost_s: Floats, backlog_s: float, asking: Bools) -> tuple[Bools, float]:
    """Which of those asking cost no more than they are worth, [n], and what a request is worth after that.

    The cheapest first, as each that is accepted adds to the backlog, and makes the others dearer.
    """
    rows = asking.nonzero()[0]
    rows = rows[cost_s[rows].argsort(kind="stable")]
    after_s = np.concatenate([[backlog_s], backlog_s + cost_s[rows].cumsum()])
    worth_s = price.worth_s(after_s)
    dear = cost_s[rows] > worth_s[:-1]
    count = int(dear.argmax()) if any_of(dear) else len(rows)
    found = np.zeros(len(cost_s), np.bool_)
    found[rows[:count]] = True
    return found, float(worth_s[count])
