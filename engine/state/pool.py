"""The block pool: which request holds which blocks of the cache and of the host, never more than there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.scheduling.forms import KV, NONE, NUM_FORMS, CacheShape, sums_by_form
from aptsched.scheduling.plan import Plan
from aptsched.support.arrays import any_of, count_of, largest_of, sum_of
from aptsched.support.checks import Ints
from aptsched.support.quick_init import quick_init
from engine.state.batch import NO_COPIES, Batch, Conversion, Copies
from engine.state.blocks import Blocks, all_equal, check_counts, fitting
from engine.state.request_table import RequestTable

FIRST_SLOTS = 64  # doubled whenever they run out
NONE_HELD = (0,) * NUM_FORMS
NO_SLOT = 0  # slot of requests without a cache; its counts stay 0


@quick_init
@dataclass(frozen=True, eq=False)
class Applied:
    """The parts of a plan that fit and were carried out.

    Attributes
    ----------
    batch : Batch
    row : int array, [b]
        Row of each entry of the batch: those of the plan that fit, in its order.
    converted, swapped_out, swapped_in : int array
        Rows whose conversion or swap fit.
    """

    batch: Batch
    row: Ints
    converted: Ints
    swapped_out: Ints
    swapped_in: Ints


class BlockPool:
    """Blocks of a fixed number of bytes, given to requests in the offered forms, and further blocks on the host.

    A request with a cache has a slot, a row in both block tables: its blocks are all in the pool or, if swapped out,
    all on the host. After `apply` the counts are already those after the batch has run.

    Parameters
    ----------
    num_blocks : int
    cache : CacheShape
    num_host_blocks : int
        For requests that are swapped out.

    Attributes
    ----------
    device, host : Blocks
    num_cached, form : int array, [slots]
        Tokens cached and their `CacheForm`, in the pool or on the host.

    Raises
    ------
    InputError
        num_blocks is below 1, num_host_blocks below 0, or one of them above `MAX_BLOCKS`.
    """

    def __init__(self, num_blocks: int, cache: CacheShape, num_host_blocks: int = 0) -> None:
        check_counts(num_blocks, num_host_blocks)
        self.num_blocks, self.num_host_blocks, self.cache = num_blocks, num_host_blocks, cache
        self.device, self.host = (Blocks(count, FIRST_SLOTS) for count in (num_blocks, num_host_blocks))
        self.num_cached, self.form = np.zeros((2, FIRST_SLOTS), np.int64)

    @property
    def free_blocks(self) -> int:
        """Blocks of the pool that no request holds."""
        return self.device.free_blocks

    @property
    def num_blocks_by_form(self) -> tuple[int, ...]:
        """Blocks of the pool that are held in each form, [f]."""
        if largest_of(self.form) > KV:
            return sums_by_form(self.form, self.device.num_held)
        return (*NONE_HELD[:KV], self.num_blocks - self.free_blocks, *NONE_HELD[KV + 1 :])

    @property
    def max_request_tokens(self) -> int:
        """Most tokens of one request that all blocks can hold, in the lightest form."""
        return self.num_blocks * self.cache.tokens_per_block(self.cache.heaviest_first[-1])

    def column(self, name: str, slot: Ints) -> Ints:
        """A column that policies see of the cache (`PoolColumns`), for each of these slots, [n]; a copy."""
        columns = {"num_held": self.device.num_held, "num_swapped": self.host.num_held}
        of_slots: Ints = columns[name] if name in columns else getattr(self, name)
        return of_slots[slot]

    def apply(self, plan: Plan, table: RequestTable) -> Applied:
        """Carries out a legal plan; changes the pool and the slots of the table.

        Blocks are freed first by rejections, then preemptions, then swaps to the host. Then swaps from the host take
        blocks, shrinking conversions free some, growing ones take some, and last the entries, in order. What does not
        fit is left out, and later ones are still tried: a request that cannot be swapped out keeps its blocks; one that
        cannot be swapped in is not converted and does not run; one that cannot be converted runs in the form it has.
        """
        self.release(plan.reject, table)
        self.release(plan.preempt, table)
        swapped_out, out = self._swap(plan.swap_out, table, self.device, self.host)
        swapped_in, back = self._swap(plan.swap_in, table, self.host, self.device)
        converted, conversions = self._convert(plan.convert, plan.convert_to, table)
        row, batch = self._admit(plan, table, conversions, out, back)
        return Applied(batch, row, converted, swapped_out, swapped_in)

    def release(self, rows: Ints, table: RequestTable) -> None:
        """Frees the caches of the rows, in the pool or on the host; rows without a cache are skipped."""
        if not len(rows):
            return
        slot = table.slot[rows]
        slot = slot[slot != NO_SLOT]
        if not len(slot):
            return
        self.device.take_back(slot)
        if self.host.free_blocks < self.num_host_blocks:
            self.host.take_back(slot)
        self.num_cached[slot] = self.form[slot] = 0
        table.slot[rows] = NO_SLOT

    def _swap(self, rows: Ints, table: RequestTable, source: Blocks, target: Blocks) -> tuple[Ints, Copies]:
        """Moves blocks of the rows from one memory to the other, as they fit. Returns the rows and the copies."""
        if not len(rows):
            return rows, NO_COPIES
        slot = table.slot[rows]
        need = source.num_held[slot]
        fits = fitting(need, target.free_blocks)
        rows, slot, need = rows[fits], slot[fits], need[fits]
        blocks = source.held_by(slot)
        source.take_back(slot)
        target.give(slot, need)
        return rows, Copies(blocks, target.held_by(slot), table.request[rows].tolist(), need)

    def _convert(self, rows: Ints, target: Ints, table: RequestTable) -> tuple[Ints, list[Conversion]]:
        """Converts rows in place: first those that need fewer blocks than before, then others that fit, in order.

        Returns the rows converted, and the conversions; rows that are still on the host are left out.
        """
        if not len(rows):
            return rows, []
        slot = table.slot[rows]
        here = self.device.num_held[slot] > 0
        rows, slot, target = rows[here], slot[here], target[here]
        num_cached, held = self.num_cached[slot], self.device.num_held[slot]
        after = self.cache.blocks_by_form(num_cached, target)
        less = after < held
        more = np.flatnonzero(~less)
        before = self.device.table[slot]
        self.device.shrink(slot[less], after[less])
        more = more[fitting((after - held)[more], self.free_blocks)]
        self.device.give(slot[more], (after - held)[more])
        made = np.concatenate([np.flatnonzero(less), more])
        source, self.form[slot[made]] = self.form[slot], target[made]
        return rows[made], [
            Conversion(
                request=table.request[rows[i]],
                num_cached=int(num_cached[i]),
                source=int(source[i]),
                target=int(target[i]),
                source_blocks=before[i, : held[i]],
                target_blocks=self.device.table[slot[i], : after[i]].copy(),
            )
            for i in made.tolist()
        ]

    def _admit(
        self, plan: Plan, table: RequestTable, conversions: list[Conversion], out: Copies, back: Copies
    ) -> tuple[Ints, Batch]:
        """Gives blocks to the entries that fit. Returns their rows, and the batch with its conversions and copies."""
        row, num_tokens, planned = plan.request, plan.num_tokens, plan.form
        slot = table.slot[row]
        if len(plan.swap_in):  # requests that are still on the host do not run
            here = self.host.num_held[slot] == 0
            row, num_tokens, planned, slot = (array[here] for array in (row, num_tokens, planned, slot))
        own, start, held = self.form[slot], self.num_cached[slot], self.device.num_held[slot]
        form = own if np.count_nonzero(own) == len(own) else np.where(own == NONE, planned, own)
        stop = start + num_tokens
        grown = self.cache.blocks_by_form(stop, form)
        need = grown - held
        if sum_of(need) > self.free_blocks:
            fits = fitting(need, self.free_blocks)
            row, num_tokens, slot, form, start, stop, grown, need = (
                array[fits] for array in (row, num_tokens, slot, form, start, stop, grown, need)
            )
        most = largest_of(grown) if len(grown) else 0
        slot = self.opened(row, slot, form, table)
        self.device.give(slot, need)
        self.num_cached[slot] = stop
        return row, Batch(
            requests=table.request[row].tolist(),
            start=start,
            num_tokens=num_tokens,
            form=form,
            block_table=self.device.table.take(slot, axis=0)[:, :most],
            samples=stop == table.num_tokens[row],
            conversions=conversions,
            swap_out=out,
            swap_in=back,
        )

    def opened(self, row: Ints, slot: Ints, form: Ints, table: RequestTable) -> Ints:
        """The slots of the rows; those that have none get one that holds nothing, for a cache in its form."""
        new = slot == NO_SLOT
        if any_of(new):
            slot = slot.copy()
            slot[new] = self._open(count_of(new))
            table.slot[row], self.form[slot] = slot, form
        return slot

    def _open(self, count: int) -> Ints:
        """Slots that hold nothing, so many."""
        free = np.flatnonzero(self.form == NONE)[1:]  # the first is NO_SLOT
        while len(free) < count:
            self.device.double_slots()
            self.host.double_slots()
            self.num_cached, self.form = (
                np.concatenate([counts, np.zeros_like(counts)]) for counts in (self.num_cached, self.form)
            )
            free = np.flatnonzero(self.form == NONE)[1:]
        return free[:count]

    def check_integrity(self) -> None:
        """Checks that every block is free or held exactly once, and that counts and tables agree, in both memories.

        Raises
        ------
        AssertionError
            Names what is wrong.
        """
        self.device.check_integrity()
        self.host.check_integrity()
        odd = ~np.isin(self.form, (NONE, *self.cache.offered))
        assert not odd.any(), f"slot {odd.argmax()} has form {self.form[odd.argmax()]}; that is not offered"
        both = (self.device.num_held > 0) & (self.host.num_held > 0)
        assert not both.any(), f"slot {both.argmax()} holds blocks in the pool and on the host"
        expected = self.cache.blocks_by_form(self.num_cached, self.form)
        all_equal("num_held", self.device.num_held + self.host.num_held, "blocks of num_cached and form", expected)
        all_equal("has tokens cached", self.num_cached > 0, "has a form", self.form != NONE)
        assert self.form[NO_SLOT] == NONE, f"slot {NO_SLOT}: form {self.form[NO_SLOT]}; it stays empty"
