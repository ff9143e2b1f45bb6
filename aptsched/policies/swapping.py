"""Makes room in the pool by swapping: which requests come in, which stay, and which leave for the host."""

from __future__ import annotations

import numpy as np

from aptsched.policies.queue import leading, leading_at_least, shared
from aptsched.scheduling.forms import KV, NONE
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from aptsched.support.arrays import count_of, sum_of
from aptsched.support.checks import Bools, Ints


def swapping_plan(view: View, order: Ints, reject: Ints, ahead: bool = False) -> Plan:
    """Run as many of the first as fit; of the others in the pool the last are swapped out to make room for them.

    Prefills and decodes run together, up to the token budget, the sequence limit and the pool. If the host has no room
    for requests that would have to leave, only those in the pool go on; if these outgrow it, the last are preempted.

    Parameters
    ----------
    view : View
    order : int array
        Rows, the most urgent first; all that hold blocks of the pool are among them.
    reject : int array
        Rows to reject; they may be in the order, and are left out of it.
    ahead : bool
        Whether who is swapped in runs from the next iteration on, so that nobody waits for its copy, unless it would be
        alone.
    """
    if len(reject):
        order = order[~np.isin(order, reject)]
    free_host = view.free_host_blocks + sum_of(view.num_swapped[reject])
    plan = composed(view, order, reject, free_host, ahead)
    return composed(view, order[view.running[order]], reject, free_host, ahead) if len(plan.preempt) else plan


def composed(view: View, order: Ints, reject: Ints, free_host: int, ahead: bool = False) -> Plan:
    """As `swapping_plan`, but whoever has to leave is preempted where these free blocks of the host have no room."""
    fed = shared(view.num_remaining[order], view.max_tokens)
    fed[view.max_seqs :] = 0
    form = np.where(view.form[order] == NONE, KV, view.form[order])
    held = view.num_held[order]
    size = np.where(fed > 0, view.cache.blocks_by_form(view.num_cached[order] + fed, form), held)
    stays = staying(view, order, fed > 0, size)
    runs = stays & (fed > 0)
    short = sum_of((size - held)[stays]) - view.free_blocks - sum_of(view.num_held[reject])
    last = order[~stays & (held > 0)][::-1]
    preempt, swap_out = leaving(view, last, short, count_of(runs), free_host)
    rows = order[runs]
    swap_in = rows[view.num_swapped[rows] > 0]
    if ahead and len(swap_in) < len(rows):
        runs &= view.num_swapped[order] == 0
    return Plan(
        request=order[runs],
        num_tokens=fed[runs],
        form=form[runs],
        preempt=preempt,
        swap_out=swap_out,
        swap_in=swap_in,
        reject=reject,
    )


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
