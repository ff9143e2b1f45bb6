"""A queue in order of arrival: how far budgets go along it, who stays out of blocks, and its entries of a plan."""

from __future__ import annotations

import numpy as np

from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import nothing
from aptsched.scheduling.view import View
from aptsched.support.arrays import above_0, all_of, largest_of, sum_of
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError


def check_watermark(share: float) -> None:
    """Raises InputError unless that is a share of the pool that admission can leave free."""
    if not 0 <= share < 1:
        raise InputError(f"watermark: {share} is not accepted; a share of the pool, 0 to less than 1, is")


def too_large(view: View) -> Ints:
    """Rows that the whole pool cannot hold with a KV cache."""
    num_tokens = view.num_tokens
    if not len(num_tokens) or view.cache.blocks(largest_of(num_tokens), KV) <= view.num_blocks:
        return nothing()
    return np.flatnonzero(view.cache.blocks(num_tokens, KV) > view.num_blocks)


def others(view: View, rows: Ints) -> tuple[Ints, Ints]:
    """Who runs and who waits, in order, without the rows given."""
    running = view.running.nonzero()[0]
    waiting = nothing() if len(running) == len(view.running) else (~view.running).nonzero()[0]
    return (running, waiting) if not len(rows) else (np.setdiff1d(running, rows), np.setdiff1d(waiting, rows))


def leading(amounts: Ints, budget: int) -> int:
    """How many of the first amounts, [n], of at least 0 each, add up to no more than the budget."""
    return int(amounts.cumsum().searchsorted(budget, side="right"))


def leading_at_least(amounts: Ints, needed: int) -> int:
    """How many of the first amounts, [n], it takes to add up to what is needed; all where they do not."""
    if needed <= 0:
        return 0
    return min(len(amounts), int(np.searchsorted(np.cumsum(amounts), needed)) + 1)


def shared(amounts: Ints, budget: int) -> Ints:
    """What each gets, [n], of a budget handed out in order, each up to its amount; 0 where none is left.

    Where there is enough for all it is the array of the amounts itself.
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
    """Tokens fed to each of the running requests, [r], when all go on within the budgets, in their order."""
    fed = shared(view.num_remaining[running], view.max_tokens)
    if len(fed) > view.max_seqs:
        fed[view.max_seqs :] = 0
    return fed


def num_kept(view: View, running: Ints, fed: Ints, free: int) -> int:
    """How many of the first that run keep their cache when so many tokens are fed to each, [r]: the last make room."""
    more = growth(view, running, fed)
    if sum_of(more) <= free:
        return len(running)
    held = view.num_held[running]
    return leading(held + more, free + sum_of(held))


def survivors(view: View, running: Ints, free: int) -> tuple[Ints, Ints]:
    """Who goes on, and who is preempted for that: the latest of the running requests, as few as blocks need."""
    fed = fed_of(view, running)
    kept = num_kept(view, running, fed, free)
    return running[:kept][above_0(fed[:kept])], running[kept:]


def entries(view: View, rows: Ints, form: int = KV) -> tuple[Ints, Ints, Ints]:
    """Rows, tokens and forms of a plan's entries: those that run in their form, those that wait in the one given.

    Tokens are handed out in order; who gets none is left out.
    """
    fed = shared(view.num_remaining[rows], view.max_tokens)
    some = above_0(fed)
    if not all_of(some):
        rows, fed = rows[some], fed[some]
    runs, own = view.running[rows], view.form[rows]
    forms: Ints = own if all_of(runs) else np.where(runs, own, form)
    return rows, fed, forms
