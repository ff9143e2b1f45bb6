"""First come, first served, on a queue in random order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.fcfs import FCFS
from aptsched.policies.option_checks import check_seed
from aptsched.policies.reordered import decide_in_order
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints

MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


@dataclass(frozen=True)
class RandomOrder:
    """FCFS on a random order of the requests, both to admit and to preempt.

    Each request has one random place, computed from its number and the seed. So its place is the same in every
    iteration, and does not depend on what else waits.

    Parameters
    ----------
    seed : int

    Notes
    -----
    Source: the random baseline of Apt-Serve's experiments (SIGMOD 2025), which draws a new order in each iteration.
    The places are hashes of seed and number by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    """

    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        return decide_in_order(FCFS(), view, np.argsort(self._place(view.request_id), kind="stable"))

    def _place(self, request_id: Ints) -> np.typing.NDArray[np.uint64]:
        """A random number for each request, [n], by which they are sorted."""
        increment, first, second = (np.uint64(number) for number in MIX)
        x = _mixed(np.array([self.seed], np.uint64) + increment, first, second)
        return _mixed(x + (request_id.astype(np.uint64) + np.uint64(1)) * increment, first, second)


def _mixed(x: np.typing.NDArray[np.uint64], first: np.uint64, second: np.uint64) -> np.typing.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * first
    x = (x ^ (x >> np.uint64(27))) * second
    mixed: np.typing.NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed
