"""A policy of one's own: the shortest prompt first.

aptsched simulate --workload sharegpt --rate 2 --policy fcfs aptserve examples/own_policy.py:Shortest
"""

import numpy as np

from aptsched import CacheForm, Plan, View
from aptsched.policies import entries, survivors


class Shortest:
    """All that run decode; the budgets left go to those that wait, the shortest first."""

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration: what is fed, and who is preempted or given up."""
        never = view.cache.blocks(view.num_tokens, CacheForm.KV) > view.num_blocks
        running, waiting = np.flatnonzero(view.running & ~never), np.flatnonzero(~view.running & ~never)
        going, preempt = survivors(view, running, view.free_blocks)  # the latest stop where blocks run out
        shortest = waiting[np.argsort(view.num_tokens[waiting], kind="stable")]
        rows = going if len(preempt) else np.concatenate([going, shortest])[: view.max_seqs]
        return Plan(*entries(view, rows), preempt=preempt, reject=np.flatnonzero(never))
