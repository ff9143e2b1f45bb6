"""A policy that reads a counter: out of memory, those go first that have been preempted least.

Try it with

    aptsched simulate --workload sharegpt --rate 3 --policy fcfs examples/fewest_preempted.py:FewestPreempted
"""

from dataclasses import dataclass

import numpy as np

from aptsched import Plan, View
from aptsched.policies import FCFS, decide_in_order


@dataclass(frozen=True)
class FewestPreempted:
    """First come, first served, with those in front that were preempted most often.

    FCFS preempts from the end of the queue: here those that have been preempted the fewest times, of these the latest.
    """

    def decide(self, view: View) -> Plan:
        """FCFS's plan for the queue in that order."""
        return decide_in_order(FCFS(), view, np.argsort(-view.num_preemptions, kind="stable"))
