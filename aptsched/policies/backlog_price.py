"""The price of the machine's time, which rises with the work that was accepted and is not done yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.support.arrays import any_of
from aptsched.support.checks import Bools, Floats, Ints

MOST = 1e3  # times the mean cost: what a request is worth at most


@dataclass(frozen=True)
class BacklogPrice:
    """What attaining the objectives of a request is worth, in seconds of the whole machine.

        worth = strength * mean cost * mean duration / backlog

    The bid price of a second is 1 / worth. The backlog is what dual ascent on the machine's time adds up: seconds
    accepted less seconds gone by. The means are over requests that arrived lately, in the units of the price: what one
    costs, and how long that one stays of whom a second is, all of them served at once.

    Attributes
    ----------
    strength : float
    mean_cost_s, mean_duration_s : float
    """

    strength: float
    mean_cost_s: float = 0.0
    mean_duration_s: float = 0.0

    def of_arrivals(self, cost_s: Floats, duration_s: Floats) -> BacklogPrice:
        """The price by requests that have arrived: what each costs, and how long it takes, [n], at least one."""
        return replace(
            self, mean_cost_s=float(cost_s.mean()), mean_duration_s=float(cost_s @ duration_s / cost_s.sum())
        )

    def worth_s(self, backlog_s: Floats) -> Floats:
        """What a request is worth at each backlog, [n]."""
        rise = self.mean_duration_s / np.maximum(backlog_s, 1e-9)
        worth_s: Floats = self.mean_cost_s * np.minimum(self.strength * rise, MOST)
        return worth_s


def accepted(
    price: BacklogPrice, cost_s: Floats, backlog_s: float, asking: Bools, blocks: Ints, room: int
) -> tuple[Bools, float]:
    """Which of those asking cost no more than they are worth, [n], and what a request is worth after that.

    The cheapest first, as each that is accepted adds to the backlog, and makes the others dearer. Together they take no
    more blocks, of the pool or of the host, than there is room for.
    """
    rows = asking.nonzero()[0]
    rows = rows[cost_s[rows].argsort(kind="stable")]
    after_s = np.concatenate([[backlog_s], backlog_s + cost_s[rows].cumsum()])
    worth_s = price.worth_s(after_s)
    dear = (cost_s[rows] > worth_s[:-1]) | (blocks[rows].cumsum() > room)
    count = int(dear.argmax()) if any_of(dear) else len(rows)
    found = np.zeros(len(cost_s), np.bool_)
    found[rows[:count]] = True
    return found, float(worth_s[count])
