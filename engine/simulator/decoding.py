"""Requests that are fed up to their newest token and then decode, iteration after iteration."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.scheduling.forms import KV, NONE, NUM_FORMS, sums_by_form
from aptsched.scheduling.plan import Plan
from aptsched.support.arrays import above_0, all_of, any_of, count_of, equal, largest_of, smallest_of, sum_of
from aptsched.support.checks import Bools, Ints
from aptsched.support.constant import constant
from aptsched.support.quick_init import quick_init
from engine.state.pool import NONE_HELD, BlockPool
from engine.state.request_table import RequestTable


@quick_init
@dataclass(frozen=True, eq=False)
class Decoding:
    """Requests of iterations in a row: the first feeds what a plan says, those after it one token to each.

    Attributes
    ----------
    rows, slot : int array, [b]
        Their rows of the table and their slots in the pool; who begins has none yet.
    form : int array, [b]
        `CacheForm` of their caches.
    held : int array, [b]
        Blocks held before the first iteration.
    start : int array, [b]
        After iteration i, from 0 on, start + i + 1 tokens are cached.
    left : int array, [b]
        After how many of the iterations each is over.
    later : bool array, [b], optional
        Who is not fed before the second iteration; None where nobody is.
    num_decodes : int
        Entries of the first iteration that are fed their newest output alone.
    are_all : bool
        Whether they are all unfinished requests, of which those that are left go on when one is over.
    freed : tuple of int, [f]
        Blocks that others give back before the first iteration.
    """

    rows: Ints
    slot: Ints
    form: Ints
    held: Ints
    start: Ints
    left: Ints
    later: Bools | None
    num_decodes: int
    are_all: bool
    freed: tuple[int, ...]

    @property
    def decodes_alone(self) -> bool:
        """Whether the first iteration is a decode of all, as the others are."""
        return self.num_decodes == len(self.rows)

    def of_first(self) -> Decoding:
        """Those that are fed in the first iteration."""
        if self.later is None:
            return self
        fed, names = ~self.later, ("rows", "slot", "form", "held", "start", "left")
        return replace(self, **{name: getattr(self, name)[fed] for name in names}, later=None, are_all=False)

    def blocks(self, pool: BlockPool, count: int) -> tuple[Ints, Ints]:
        """Blocks that are held in each of so many iterations, [count, f], and how many of them are taken, [count].

        A request takes what it needs in the first, then a block each time that its last one is full. It gives all back
        after its last iteration.
        """
        held = np.empty((count, NUM_FORMS), np.int64)
        held[:] = pool.num_blocks_by_form
        if self.freed is not NONE_HELD:
            held -= np.array(self.freed)
        if largest_of(self.form) == KV:
            taken = _taken(self.start, self.left, self.held, pool.cache.per_block[KV], count)
            held[:, KV] += taken
            return held, taken
        total = np.zeros(count, np.int64)
        for form in np.unique(self.form).tolist():
            start, left, before = (column[self.form == form] for column in (self.start, self.left, self.held))
            taken = _taken(start, left, before, pool.cache.per_block[form], count)
            held[:, form] += taken
            total += taken
        return held, total


def _taken(start: Ints, left: Ints, before: Ints, per_block: int, count: int) -> Ints:
    """How many more blocks than before requests of one form hold in each of so many iterations, [count]."""
    held = (start + per_block) // per_block  # in the first
    full = (held * per_block - start)[:, None] + np.arange(0, count, per_block)  # when a block is full
    if smallest_of(left) >= count:
        more = np.bincount(full[full < count], minlength=count)
    else:
        ended = left < count
        more = np.bincount(full[full < np.minimum(left, count)[:, None]], minlength=count)
        back = (start[ended] + left[ended] + (per_block - 1)) // per_block
        more -= np.bincount(left[ended], back, count).astype(np.int64)
    more[0] += sum_of(held - before)
    taken: Ints = more.cumsum()
    return taken


def decoding_of(plan: Plan, table: RequestTable, pool: BlockPool) -> Decoding | None:
    """Who decodes after a plan: all requests by `Plan.then_decodes`, else its entries by `Plan.holds`.

    None where the plan says neither, or anybody has more than the newest token left to be fed after it, or, not being
    fed by it, the last one of a prompt, which is no decode. A decision with a certificate stands for its own entries
    alone, and who is preempted does not decode.
    """
    can_be_all = plan.then_decodes and plan.problem is None and not len(plan.preempt)
    found = _of_rows(plan, table, pool, are_all=True) if can_be_all else None
    return _of_rows(plan, table, pool, are_all=False) if found is None and plan.holds else found


def _of_rows(plan: Plan, table: RequestTable, pool: BlockPool, are_all: bool) -> Decoding | None:
    """Who decodes: all requests, in order, in KV form; or the entries of the plan."""
    rows, fed, form, later = plan.request, plan.num_tokens, plan.form, None
    if not len(rows) or (are_all and (not equal(form, constant(KV, len(rows))) or not all_of(rows[1:] > rows[:-1]))):
        return None
    after = table.num_tokens[rows]  # tokens that are cached after the first iteration
    if are_all and len(rows) < table.num_rows:
        rows, fed = np.arange(table.num_rows), np.zeros(table.num_rows, np.int64)
        fed[plan.request] = plan.num_tokens
        later = fed == 0
        after = table.num_tokens[rows] - later
        if any_of(later & (table.num_tokens[rows] == table.num_prompt_tokens[rows])):
            return None
        own = pool.form[table.slot[rows]]
        form = np.where(own == NONE, KV, own)
    slot = table.slot[rows]
    held = pool.device.num_held[slot]
    if not equal(pool.num_cached[slot] + fed, after) or not all_of(above_0(held + fed)):
        return None
    num_decodes = count_of((fed == 1) & (after > table.num_prompt_tokens[rows]))
    if largest_of(form) > KV and (are_all or num_decodes < len(rows)):
        return None
    left, gone = table.end_tokens[rows] - after, table.slot[plan.preempt]
    freed = sums_by_form(pool.form[gone], pool.device.num_held[gone]) if len(gone) else NONE_HELD
    return Decoding(rows, slot, form, held, after - 1, left, later, num_decodes, are_all, freed)
