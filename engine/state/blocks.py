"""The blocks of one memory, and which slot holds which of them."""

from __future__ import annotations

import numpy as np

from aptsched.support.arrays import largest_of, sum_of
from aptsched.support.checks import Bools, Ints, is_count
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MAX_BLOCKS = 2**24  # of 16 tokens 268 million; the list of the free ones takes 8 bytes each
FIRST_WIDTH = 8  # columns of the table, doubled whenever they run out


def check_counts(num_blocks: int, num_host_blocks: int) -> None:
    """Check that a pool can have so many blocks, and so many on the host.

    Raises
    ------
    InputError
        It cannot; the message says how many are accepted.
    """
    for name, least, count in (("num_blocks", 1, num_blocks), ("num_host_blocks", 0, num_host_blocks)):
        if not is_count(count, least, MAX_BLOCKS):
            raise InputError(f"{name}: {shown(count)} is not accepted; {least} to {MAX_BLOCKS} blocks are")


class Blocks:
    """Blocks of one memory, given out to slots.

    Parameters
    ----------
    num_blocks : int
    num_slots : int

    Attributes
    ----------
    free_blocks : int
    table : int array, [slots, most blocks of any]
        Blocks of each slot in order; -1 beyond its last.
    num_held : int array, [slots]
    """

    def __init__(self, num_blocks: int, num_slots: int) -> None:
        self.num_blocks = self.free_blocks = num_blocks
        self._free = np.arange(num_blocks)[::-1].copy()  # a stack: the first `free_blocks` are free
        self.table = np.full((num_slots, FIRST_WIDTH), -1)
        self.num_held = np.zeros(num_slots, np.int64)

    def give(self, slot: Ints, need: Ints) -> None:
        """Gives each slot that many more blocks; there have to be enough free ones."""
        growing = need.nonzero()[0]
        if not len(growing):
            return
        slot, need = slot[growing], need[growing]
        grown = self.num_held[slot] + need
        total = sum_of(need)
        assert total <= self.free_blocks
        while self.table.shape[1] < largest_of(grown):
            self.table = np.concatenate([self.table, np.full_like(self.table, -1)], axis=1)
        blocks = self._free[self.free_blocks - total : self.free_blocks][::-1]
        if total == len(slot):
            self.table[slot, grown - 1] = blocks
        else:
            column = np.arange(total) + np.repeat(grown - need.cumsum(), need)
            self.table[np.repeat(slot, need), column] = blocks
        self.num_held[slot] = grown
        self.free_blocks -= total

    def take_back(self, slot: Ints) -> None:
        """Takes all blocks of the slots back."""
        self.shrink(slot, np.zeros_like(slot))

    def shrink(self, slot: Ints, num_kept: Ints) -> None:
        """Takes back all blocks of each slot, [n], except its first `num_kept`, [n]."""
        table = self.table[slot]
        taken = (table >= 0) & (np.arange(table.shape[1]) >= num_kept[:, None])
        blocks = table[taken]
        self._free[self.free_blocks : self.free_blocks + len(blocks)] = blocks
        self.free_blocks += len(blocks)
        self.table[slot] = np.where(taken, -1, table)
        self.num_held[slot] = np.minimum(self.num_held[slot], num_kept)

    def held_by(self, slot: Ints) -> Ints:
        """Blocks of the slots, one slot after the other."""
        blocks = self.table[slot, : int(self.num_held[slot].max(initial=0))]
        return blocks[blocks >= 0]

    def double_slots(self) -> None:
        """Doubles the number of slots; the new ones hold nothing."""
        self.table = np.concatenate([self.table, np.full_like(self.table, -1)])
        self.num_held = np.concatenate([self.num_held, np.zeros_like(self.num_held)])

    def check_integrity(self) -> None:
        """Checks that every block is free or held exactly once, and that counts and table agree.

        Raises
        ------
        AssertionError
            Names what is wrong.
        """
        held = self.table >= 0
        assert 0 <= self.free_blocks <= self.num_blocks, f"free_blocks: {self.free_blocks} of {self.num_blocks}"
        times = np.bincount(
            np.concatenate([self._free[: self.free_blocks], self.table[held]]), minlength=self.num_blocks
        )
        assert len(times) == self.num_blocks, f"block {len(times) - 1} is held; there are {self.num_blocks}"
        wrong = np.flatnonzero(times != 1)
        assert not len(wrong), f"block {wrong[0]} is free or held {times[wrong[0]]} times"
        all_equal("blocks in the table", held.sum(axis=1), "num_held", self.num_held)
        all_equal("blocks before the first gap", held.cumprod(axis=1).sum(axis=1), "num_held", self.num_held)


def fitting(need: Ints, room: int) -> Bools:
    """Which of the needs are met, [n], if each in order takes what it needs as long as that is left."""
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


def all_equal(name: str, values: Ints | Bools, other: str, others: Ints | Bools) -> None:
    """Raises AssertionError, naming both, unless they are equal in every slot."""
    wrong = np.flatnonzero(values != others)
    assert not len(wrong), f"slot {wrong[0]}: {name} {values[wrong[0]]}, {other} {others[wrong[0]]}"
