"""A policy that plays the P99 of a request's own gaps: it serves a hundred tokens, then lets the reader wait.

aptsched simulate --workload sharegpt --rate 3 6 12 --policy fcfs examples/park.py:Park

Of a hundred gaps one is beyond the P99, however long it is. So a request that has a hundred tokens for each time that
it was made to wait can be made to wait again, for as long as it takes, at no loss by that measure.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aptsched import CacheForm, Plan, View
from aptsched.policies import FCFS, decide_in_order, leading, without_cache

UNSEEN = 100  # tokens for which one gap is not seen


@dataclass(frozen=True)
class Park:
    """First come, first served, but after a hundred tokens a request yields, and waits for the first hundred of all."""

    def decide(self, view: View) -> Plan:
        """FCFS's plan once as many requests have lost their cache as those without a token need."""
        num_output = view.num_tokens - view.num_prompt_tokens
        is_new = ~view.running & (num_output == 0)
        waits = ~view.running & ~is_new
        may_park = view.running & (num_output // UNSEEN > view.num_preemptions)
        parked = self._parked(view, may_park, int(view.cache.blocks(view.num_tokens[is_new], CacheForm.KV).sum()))
        seen = np.argsort(may_park | waits, kind="stable")  # these are preempted first, and admitted last
        if np.any(~waits & (num_output < UNSEEN)):
            seen = seen[~waits[seen]]
        plan = decide_in_order(FCFS(), without_cache(view, parked), seen)
        return replace(plan, preempt=np.setdiff1d(np.union1d(parked, plan.preempt), plan.reject))

    def _parked(self, view: View, may_park: npt.NDArray[np.bool_], num_needed: int) -> npt.NDArray[np.int64]:
        """The latest that may be parked, as few as give the blocks that are needed beyond the free ones."""
        latest = np.flatnonzero(may_park)[::-1]
        if num_needed <= view.free_blocks:
            return latest[:0]
        return latest[: 1 + leading(view.num_held[latest], num_needed - view.free_blocks - 1)]
