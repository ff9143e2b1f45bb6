"""The blocks of the cache: who holds which, and never more than there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.cache import HIDDEN, KV, NONE, CacheShape
from aptsched.checks import Bools, Ints
from aptsched.errors import InputError
from aptsched.plan import Plan
from engine.batch import Batch, Promotion
from engine.table import RequestTable

FIRST_SLOTS, FIRST_WIDTH = 64, 8  # doubled whenever they run out
NO_SLOT = 0  # of a request that holds nothing; its counts stay 0


@dataclass(frozen=True, eq=False)
class Applied:
    """What a plan came to.

    Attributes
    ----------
    batch : Batch
    row : int array, [b]
        Row of each entry of the batch: those of the plan that fit, in its order.
    promoted : int array
        Rows whose promotion fit.
    """

    batch: Batch
    row: Ints
    promoted: Ints


class BlockPool:
    """Blocks of a fixed number of bytes, given out to requests in KV or hidden form.

    A request that holds blocks has a slot, a row of the block table. After `apply` the counts are those that hold
    once the batch has run.

    Parameters
    ----------
    num_blocks : int
    cache : CacheShape

    Attributes
    ----------
    free_blocks : int
    block_table : int array, [slots, most blocks of any]
        Blocks of each slot in order; -1 beyond its last.
    num_held, num_cached, form : int array, [slots]
        Blocks held, tokens cached and their `CacheForm`.

    Raises
    ------
    InputError
        num_blocks is below 1.
    """

    def __init__(self, num_blocks: int, cache: CacheShape) -> None:
        if num_blocks < 1:
            raise InputError(f"num_blocks: {num_blocks} is not accepted; at least 1 block is")
        self.num_blocks, self.cache = num_blocks, cache
        self.free_blocks = num_blocks
        self._free = np.arange(num_blocks)[::-1].copy()  # a stack: the first `free_blocks` are free
        self.block_table = np.full((FIRST_SLOTS, FIRST_WIDTH), -1)
        self.num_held, self.num_cached, self.form = np.zeros((3, FIRST_SLOTS), np.int64)

    @property
    def hidden_blocks(self) -> int:
        """Blocks in hidden form."""
        return int(self.num_held @ (self.form == HIDDEN))

    @property
    def max_request_tokens(self) -> int:
        """Most tokens of one request that all blocks can hold, in the form that takes fewest."""
        return self.num_blocks * self.cache.tokens_per_block(HIDDEN if self.cache.offers_hidden else KV)

    def apply(self, plan: Plan, table: RequestTable) -> Applied:
        """Carries out a legal plan; changes the pool and the slots of the table.

        Rejections free blocks first, then preemptions; then promotions and entries, in order, take what they need. What
        does not fit is left out, and later ones are still tried: a promotion left out stays hidden, and its entry runs
        on in hidden form.
        """
        self.release(plan.reject, table)
        self.release(plan.preempt, table)
        promoted, promotions = self._promote(plan.promote, table)
        row, slot, num_tokens = self._admit(plan, table)
        stop = self.num_cached[slot]
        batch = Batch(
            requests=table.request[row].tolist(),
            start=stop - num_tokens,
            num_tokens=num_tokens,
            form=self.form[slot],
            block_table=self.block_table[slot, : int(self.num_held[slot].max(initial=0))],
            samples=stop == table.num_tokens[row],
            promotions=promotions,
        )
        return Applied(batch, row, promoted)

    def release(self, rows: Ints, table: RequestTable) -> None:
        """Takes the cache away from those of the rows that have one."""
        slot = table.slot[rows]
        slot = slot[slot != NO_SLOT]
        if not len(slot):
            return
        width = int(self.num_held[slot].max())
        blocks = self.block_table[slot, :width]
        blocks = blocks[blocks >= 0]
        self._free[self.free_blocks : self.free_blocks + len(blocks)] = blocks
        self.free_blocks += len(blocks)
        self.block_table[slot, :width] = -1
        self.num_held[slot] = self.num_cached[slot] = self.form[slot] = 0
        table.slot[rows] = NO_SLOT

    def _promote(self, rows: Ints, table: RequestTable) -> tuple[Ints, list[Promotion]]:
        """Turns hidden requests into KV in place: the difference of blocks is all that has to be free."""
        if not len(rows):
            return rows, []
        slot = table.slot[rows]
        need = self.cache.blocks(self.num_cached[slot], KV) - self.num_held[slot]
        fits = fitting(need, self.free_blocks)
        rows, slot, need = rows[fits], slot[fits], need[fits]
        held = self.num_held[slot]
        self._grow(slot, need)
        self.form[slot] = KV
        return rows, [
            Promotion(
                request=table.request[row],
                num_cached=int(self.num_cached[of]),
                hidden_blocks=self.block_table[of, :hidden].copy(),
                kv_blocks=self.block_table[of, : self.num_held[of]].copy(),
            )
            for row, of, hidden in zip(rows.tolist(), slot.tolist(), held.tolist(), strict=True)
        ]

    def _admit(self, plan: Plan, table: RequestTable) -> tuple[Ints, Ints, Ints]:
        """Gives the entries that fit their blocks. Returns their rows, slots and numbers of tokens."""
        row, num_tokens = plan.request, plan.num_tokens
        slot = table.slot[row]
        own = self.form[slot]
        form = np.where(own == NONE, plan.form, own)
        stop = self.num_cached[slot] + num_tokens
        need = self.cache.blocks_by_form(stop, form) - self.num_held[slot]
        if need.sum() > self.free_blocks:
            fits = fitting(need, self.free_blocks)
            row, num_tokens, slot, form, stop, need = (
                array[fits] for array in (row, num_tokens, slot, form, stop, need)
            )
        new = slot == NO_SLOT
        if num_new := int(np.count_nonzero(new)):
            slot[new] = self._open(num_new)
            table.slot[row] = slot
        self._grow(slot, need)
        self.num_cached[slot] = stop
        self.form[slot] = form
        return row, slot, num_tokens

    def _open(self, count: int) -> Ints:
        """So many slots that hold nothing."""
        free = np.flatnonzero(self.form == NONE)[1:]  # the first is NO_SLOT
        while len(free) < count:
            self.block_table = np.concatenate([self.block_table, np.full_like(self.block_table, -1)])
            self.num_held, self.num_cached, self.form = (
                np.concatenate([counts, np.zeros_like(counts)])
                for counts in (self.num_held, self.num_cached, self.form)
            )
            free = np.flatnonzero(self.form == NONE)[1:]
        return free[:count]

    def _grow(self, slot: Ints, need: Ints) -> None:
        """Gives each slot that many blocks more; they are free."""
        growing = need.nonzero()[0]
        if not len(growing):
            return
        slot, need = slot[growing], need[growing]
        grown, filled = self.num_held[slot] + need, need.cumsum()
        total = int(filled[-1])
        assert total <= self.free_blocks
        while self.block_table.shape[1] < grown.max():
            self.block_table = np.concatenate([self.block_table, np.full_like(self.block_table, -1)], axis=1)
        column = np.arange(total) + np.repeat(grown - filled, need)
        self.block_table[np.repeat(slot, need), column] = self._free[self.free_blocks - total : self.free_blocks][::-1]
        self.num_held[slot] = grown
        self.free_blocks -= total

    def check_integrity(self) -> None:
        """Every block is free or held exactly once, and the counts and tables agree.

        Raises
        ------
        AssertionError
            Names what is wrong.
        """
        held = self.block_table >= 0
        assert 0 <= self.free_blocks <= self.num_blocks, f"free_blocks: {self.free_blocks} of {self.num_blocks}"
        times = np.bincount(
            np.concatenate([self._free[: self.free_blocks], self.block_table[held]]), minlength=self.num_blocks
        )
        assert len(times) == self.num_blocks, f"block {len(times) - 1} is held; there are {self.num_blocks}"
        wrong = np.flatnonzero(times != 1)
        assert not len(wrong), f"block {wrong[0]} is free or held {times[wrong[0]]} times"
        _all_equal("blocks in the table", held.sum(axis=1), "num_held", self.num_held)
        _all_equal("blocks before the first gap", held.cumprod(axis=1).sum(axis=1), "num_held", self.num_held)
        hidden = self.form == HIDDEN
        assert self.cache.offers_hidden or not hidden.any(), f"slot {hidden.argmax()} is hidden; only KV is offered"
        expected = self.cache.blocks_by_form(self.num_cached, self.form)
        _all_equal("num_held", self.num_held, "blocks of num_cached and form", expected)
        _all_equal("has tokens cached", self.num_cached > 0, "has a form", self.form != NONE)
        assert self.form[NO_SLOT] == NONE, f"slot {NO_SLOT}: form {self.form[NO_SLOT]}; it stays empty"


def fitting(need: Ints, room: int) -> Bools:
    """Which of the needs are met, [n], when each in order takes what it needs if that is still there."""
    fits = np.zeros(len(need), np.bool_)
    left = np.flatnonzero(need <= room)
    while len(left):
        taken = need[left].cumsum()
        count = int(taken.searchsorted(room, side="right"))
        fits[left[:count]] = True
        room -= int(taken[count - 1])
        left = left[count:]
        left = left[need[left] <= room]
    return fits


def _all_equal(name: str, values: Ints | Bools, other: str, others: Ints | Bools) -> None:
    wrong = np.flatnonzero(values != others)
    assert not len(wrong), f"slot {wrong[0]}: {name} {values[wrong[0]]}, {other} {others[wrong[0]]}"
