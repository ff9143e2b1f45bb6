"""A plan that holds: the policy is not asked again as long as nothing happens but that requests get their tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.scheduling.plan import Plan
from aptsched.support.arrays import any_of, count_of
from aptsched.support.checks import Ints
from engine.vllm.mirror import Mirror
from engine.vllm.steering import Orders


@dataclass(frozen=True)
class Holding:
    """What a plan says of the iterations after its own (`Plan.holds`).

    Attributes
    ----------
    rows : int array
        Who gets a token in each of them, in order; there are no others.
    num_left : int
        Iterations that are left.
    until_s : float
        It holds for those that begin by then.
    num_changes : int
        Of the mirror, as long as nothing has happened; -1 before the plan's own iteration.
    orders : Orders or None
        The same for vLLM; None before the plan's own iteration.
    """

    rows: Ints
    num_left: int
    until_s: float
    num_changes: int = -1
    orders: Orders | None = None

    def is_on(self, now_s: float, free_blocks: int, mirror: Mirror) -> bool:
        """Whether an iteration that begins now is one of them: nobody came or left, and blocks are there.

        A request whose last token is under way is about to leave.
        """
        if not self.num_left or now_s > self.until_s or self.num_changes != mirror.num_changes:
            return False
        grows = count_of(mirror.num_cached[self.rows] % mirror.cache.block_size == 0)
        return grows <= free_blocks and not any_of(mirror.is_ending)

    def after(self, fed: Ints, mirror: Mirror, max_tokens: int) -> Holding | None:
        """What holds after an iteration that has fed these rows; None where that was not what the plan says."""
        if self.orders is not None:
            return replace(self, num_left=self.num_left - 1) if len(fed) == len(self.rows) else None
        left = mirror.num_tokens[self.rows] - mirror.num_cached[self.rows]
        if not np.array_equal(np.sort(fed), self.rows) or any_of(left != 1):
            return None
        is_all = len(self.rows) == count_of(mirror.num_cached > 0)
        run = None if is_all else [mirror.core[row] for row in self.rows.tolist()]
        asked = Orders(reject={}, preempt=[], run=run, admit=[], max_tokens=max_tokens)
        return replace(self, orders=asked, num_changes=mirror.num_changes)


def holding(plan: Plan, mirror: Mirror) -> Holding | None:
    """What a plan says of later iterations; None where it says nothing, or where rows are about to change."""
    if not plan.holds or not len(plan.request) or len(plan.reject) or any_of(mirror.is_ending):
        return None
    return Holding(np.sort(plan.request), plan.holds, plan.holds_until_s)
