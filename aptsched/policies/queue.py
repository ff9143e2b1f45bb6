"""A queue in order of arrival: how far budgets reach along it, which requests are preempted, and its plan entries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aptsched.scheduling.first_come import FirstCome
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import ALWAYS, nothing
from aptsched.scheduling.view import View
from aptsched.support.arrays import above_0, all_of, largest_of, smallest_of, sum_of
from aptsched.support.checks import Ints


def too_large(view: View) -> Ints:
    """Rows that the whole pool cannot hold with a KV cache."""
    num_tokens = view.num_tokens
    if not len(num_tokens) or view.cache.blocks(largest_of(num_tokens), KV) <= view.num_blocks:
        return nothing()
    return np.flatnonzero(view.cache.blocks(num_tokens, KV) > view.num_blocks)


def running_and_next(view: View, rows: Ints) -> tuple[Ints, Ints]:
    """The running rows, and the next of the waiting ones: as many as the sequence limit lets run; both in order.

    The rows given are left out. Those behind the next that wait are not looked at: a policy that chooses among all who
    wait, in place of admitting them in order of arrival, cannot use this.
    """
    running = view.running.nonzero()[0]
    num_before = len(running) + len(rows)  # at most so many stand between those asked for
    if len(rows):
        running = np.setdiff1d(running, rows)
    count = max(0, view.max_seqs - len(running))
    some = view.running[: num_before + count]
    waiting = nothing() if not count or all_of(some) else np.logical_not(some).nonzero()[0]
    return running, (np.setdiff1d(waiting, rows) if len(rows) else waiting)[:count]


def blocks_of(view: View, rows: Ints) -> int:
    """Blocks of the pool that the rows hold."""
    return sum_of(view.num_held[rows]) if len(rows) else 0


def leading(amounts: Ints, budget: int) -> int:
    """How many of the first amounts, [n], of at least 0 each, add up to no more than the budget."""
    return int(amounts.cumsum().searchsorted(budget, side="right"))


def leading_at_least(amounts: Ints, needed: int) -> int:
    """How many of the first amounts, [n], add up to what is needed; all of them where even these do not."""
    if needed <= 0:
        return 0
    return min(len(amounts), int(np.searchsorted(np.cumsum(amounts), needed)) + 1)


def shared(amounts: Ints, budget: int) -> Ints:
    """Shares of a budget, [n], handed out in order: each gets up to its amount, and 0 once nothing is left.

    Where the budget is enough for all, the array of the amounts itself is returned.
    """
    if sum_of(amounts) <= budget:
        return amounts
    before = amounts.cumsum() - amounts
    given: Ints = np.minimum(amounts, np.maximum(budget - before, 0))
    return given


def growth(view: View, rows: Ints, fed: Ints) -> Ints:
    """Blocks that running requests need more, [r], when so many tokens are fed to each, [r]."""
    after = view.cache.blocks_by_form(view.num_cached[rows] + fed, view.form[rows])
    more: Ints = np.maximum(after - view.num_held[rows], 0)
    return more


def fed_of(view: View, running: Ints) -> Ints:
    """Tokens fed to each of the running requests, [r], if the budgets are handed out in order."""
    fed = shared(view.num_remaining[running], view.max_tokens)
    if len(fed) > view.max_seqs:
        fed[view.max_seqs :] = 0
    return fed


def kept_along(view: View, running: Ints, fed: Ints, free: int) -> tuple[int, int]:
    """How many of the first running requests keep their cache if so many tokens are fed to each, [r].

    Also how many blocks are free once these have grown, and the others are gone.
    """
    more = growth(view, running, fed)
    left = free - sum_of(more)
    if left >= 0:
        return len(running), left
    held = view.num_held[running]
    kept = leading(held + more, free + sum_of(held))
    return kept, free + sum_of(held[kept:]) - sum_of(more[:kept])


def survivors(view: View, running: Ints, free: int) -> tuple[Ints, Ints]:
    """Rows that go on, and rows preempted for them: the latest of the running requests, as few as blocks need."""
    fed = fed_of(view, running)
    kept, _ = kept_along(view, running, fed, free)
    return running[:kept][above_0(fed[:kept])], running[kept:]


def num_with_room(view: View, running: Ints, waiting: Ints, free: int, spared_blocks: int) -> int:
    """How many of the waiting requests, in the order given, have room for their whole prompts in the free blocks.

    The blocks that running requests need for their next tokens, or the rest of their prompts, are set aside; so are
    those spared, unless nothing runs.
    """
    if not len(waiting):
        return 0
    blocks = view.cache.blocks(view.num_tokens[waiting], KV)
    room = free - sum_of(growth(view, running, view.num_remaining[running]))
    count = leading(blocks, room - spared_blocks)
    return count if len(running) else max(count, min(1, leading(blocks, room)))


def decode_holds(view: View, running: Ints, *changed: Ints) -> int:
    """`Plan.holds` of a plan that only feeds running requests, where no other rows are `changed` by it.

    A decode lasts as long as nothing happens: each request still needs its next token alone, and who waits and was not
    admitted is not admitted later, for the budgets are the same, and free blocks only become fewer.
    """
    if any(map(len, changed)) or not len(running) or largest_of(view.num_remaining[running]) > 1:
        return 0
    return ALWAYS


def holds_behind(view: View, rule: FirstCome, num_running: int, behind: Ints, room: int) -> int:
    """`Plan.holds` of a plan after which so many requests decode, and who waits was not, or is no more, admitted.

    It lasts as long as nothing happens if the first of those behind, in order, has no room: free blocks become fewer.

    Parameters
    ----------
    view : View
    rule : FirstCome
    num_running : int
    behind : int array
        Rows that may be admitted next; none where nobody waits, or too many run.
    room : int
        Free blocks after the plan.
    """
    if not num_running:
        return 0
    if not len(behind):
        return ALWAYS
    first = int(view.num_tokens[smallest_of(behind)])
    needed = view.cache.blocks(rule.least_tokens(first, rule.max_tokens - num_running), KV) + rule.spared_blocks
    return ALWAYS if needed > room else 0


def entries(view: View, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows, tokens and forms of a plan's entries: running requests keep their form, waiting ones get KV.

    Tokens are handed out in order; requests that get none are left out.
    """
    fed = shared(view.num_remaining[rows], view.max_tokens)
    some = above_0(fed)
    if not all_of(some):
        rows, fed = rows[some], fed[some]
    runs, own = view.running[rows], view.form[rows]
    forms: Ints = own if all_of(runs) else np.where(runs, own, KV)
    return rows, fed, forms


def fed_to_all(view: View, running: Ints) -> Ints:
    """Tokens fed to each running request, [r]: one each, and the rest of the budget to prompts that were begun."""
    fed = view.num_remaining[running]
    if largest_of(fed) > 1 and sum_of(fed) > view.max_tokens:
        fed = 1 + shared(fed - 1, max(0, view.max_tokens - len(running)))
    return fed


def without_cache(view: View, rows: Ints) -> View:
    """The view as it would be once these rows are preempted."""
    form, num_cached, num_held = view.form.copy(), view.num_cached.copy(), view.num_held.copy()
    free = view.free_blocks + sum_of(num_held[rows])
    form[rows] = num_cached[rows] = num_held[rows] = 0
    return replace(view, form=form, num_cached=num_cached, num_held=num_held, free_blocks=free)
