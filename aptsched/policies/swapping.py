"""Room in the pool by swapping: who comes in, who stays, and who leaves for the host."""

from __future__ import annotations

import numpy as np

from aptsched.policies.queue import leading, leading_at_least
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Bools, Ints


def staying(view: View, rows: Ints, fed: Bools, size: Ints) -> Bools:
    """Whose blocks are in the pool during an iteration, [r].

    The first of the rows that fit; who is not in the pool yet comes in only with one block more for each that is fed
    before it, so that it need not leave at once. Behind the first that does not fit, those that are there and are fed
    stay as far as there is room.

    Parameters
    ----------
    view : View
    rows : int array, [r]
        The most urgent first.
    fed : bool array, [r]
        Who is to run, if it stays.
    size : int array, [r]
        Blocks of each in the pool, with what it is fed; of who is not fed, those it holds there.
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
    """Who is preempted and who is swapped out, of rows that hold blocks of the pool, [r], the least urgent first.

    As few as make so many blocks free that are short; ahead of time so many more that are to spare, as far as the host
    has room. Where it has none for those that must go, the first of the rows are preempted.
    """
    held = view.num_held[last]
    needed, ahead = leading_at_least(held, short), leading_at_least(held, short + spare)
    dropped = leading_at_least(held[:needed], sum_of(held[:needed]) - free_host_blocks)
    count = leading(held[dropped:ahead], free_host_blocks)
    return last[:dropped], last[dropped : dropped + count]
