"""Makes room in the pool by swapping: which requests come in, which stay, and which leave for the host."""

from __future__ import annotations

import numpy as np

from aptsched.policies.queue import leading, leading_at_least
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Bools, Ints


def staying(view: View, rows: Ints, fed: Bools, size: Ints) -> Bools:
    """Whether each request's blocks are in the pool during an iteration, [r].

    These are the first rows that fit. A request that is not in the pool yet comes in only if one block more remains for
    each one fed before it, so that it need not leave at once. Behind the first that does not fit, requests that are in
    the pool and are fed stay as far as there is room.

    Parameters
    ----------
    view : View
    rows : int array, [r]
        The most urgent first.
    fed : bool array, [r]
        Whether each is to run, if it stays.
    size : int array, [r]
        Blocks that each takes in the pool with the tokens it is fed; if it is not fed, the blocks it holds there.
    """
    there = view.running[rows]
    spare = np.where(there | ~fed, 0, np.cumsum(fed) - fed)
    fits = np.cumsum(size) + spare <= view.num_blocks
    kept = len(rows) if fits.all() else int(fits.argmin())
    stays: Bools = np.arange(len(rows)) < kept
    behind = kept + np.flatnonzero((there & fed)[kept:])
    stays[behind[: leading(size[behind], view.num_blocks - sum_of(size[:kept]))]] = True
    return stays


def leaving(view: View, last: Ints, short: int, spare: int, free_host_blocks: int) -> tuple[Ints, Ints]:
    """Rows to preempt and rows to swap out, of rows that hold blocks of the pool, [r], the least urgent first.

    As few as free the blocks that are short, and then, as far as the host has room, as few as free `spare` more blocks
    ahead of need. If the host has no room for those that must go, the first of the rows are preempted.
    """
    held = view.num_held[last]
    needed, ahead = leading_at_least(held, short), leading_at_least(held, short + spare)
    dropped = leading_at_least(held[:needed], sum_of(held[:needed]) - free_host_blocks)
    count = leading(held[dropped:ahead], free_host_blocks)
    return last[:dropped], last[dropped : dropped + count]
