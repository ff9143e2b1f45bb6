"""A policy that plays the P99 of a request's own gaps: it serves a hundred tokens, then lets the reader wait.

aptsched simulate --workload sharegpt --rate 3 6 12 --policy fcfs examples/park.py:Park

Of a hundred gaps one is beyond the P99, however long it is. So a request that has a hundred tokens for each time that
it was made to wait can be made to wait again, at no loss by that measure.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aptsched import CacheForm, Plan, View
from aptsched.policies import FCFS, decide_in_order, leading, without_cache

UNSEEN = 100  # tokens for which one gap is not seen


@dataclass(frozen=True)
class Park:
    """First come, first served, but who has a hundred tokens yields to first tokens, and waits until there are none."""

    def decide(self, view: View) -> Plan:
        """FCFS's plan once as many requests have lost their cache as those without a token need."""
        num_output = view.num_tokens - view.num_prompt_tokens
        may_park = view.running & (num_output // UNSEEN > view.num_preemptions)
        is_new = ~view.running & (num_output == 0)
        parked = self._parked(view, may_park, int(view.cache.blocks(view.num_tokens[is_new], CacheForm.KV).sum()))
        last = may_park | (~view.running & ~is_new)  # these are preempted first, and admitted last
        plan = decide_in_order(FCFS(), without_cache(view, parked), np.argsort(last, kind="stable"))
        return replace(plan, preempt=np.setdiff1d(np.union1d(parked, plan.preempt), plan.reject))

    def _parked(self, view: View, may_park: npt.NDArray[np.bool_], num_needed: int) -> npt.NDArray[np.int64]:
        """The latest that may be parked, as few as give the blocks that are needed beyond the free ones."""
        latest = np.flatnonzero(may_park)[::-1]
        if num_needed <= view.free_blocks:
            return latest[:0]
        return latest[: 1 + leading(view.num_held[latest], num_needed - view.free_blocks - 1)]
