"""Requests that are fed up to their newest token and then decode, iteration after iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aptsched.scheduling.forms import KV, NONE, NUM_FORMS, sums_by_form
from aptsched.scheduling.plan import Plan
from aptsched.support.arrays import all_of, any_of, equal, largest_of
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled_if_often
from aptsched.support.constant import constant
from aptsched.support.quick_init import quick_init
from engine.state.pool import NO_SLOT, NONE_HELD, BlockPool
from engine.state.request_table import RequestTable

ALL = NONE  # the row of arrays by form for all forms together
ROW, FED, FORM, SLOT, HELD, START, LEFT, TAKES, MORE = range(9)  # rows of `Decoding.of`


class Counts(NamedTuple):
    """What is true of all requests of a `Decoding` together.

    Attributes
    ----------
    num_decodes : int
        Entries of the first iteration that are fed their newest output alone; -1 where somebody is not fed up to the
        newest token by it, or holds no cache then.
    num_new : int
        Who begins, and has no slot in the pool yet.
    shortest, longest : int
        After how many of the iterations the first and the last of them are over.
    """

    num_decodes: int
    num_new: int
    shortest: int
    longest: int


@quick_init
@dataclass(frozen=True, eq=False)
class Decoding:
    """Requests of iterations in a row: the first feeds what a plan says, those after it one token to each.

    Attributes
    ----------
    of : int array, [9, b]
        Of each request, by name: ROW and SLOT, its row of the table and its slot in the pool, `NO_SLOT` if it begins;
        FED, tokens fed in the first iteration, 0 where it is not fed before the second; FORM, the `CacheForm` of its
        cache; HELD, blocks held before the first iteration; START: after iteration i, from 0 on, START + i + 1 tokens
        are cached; LEFT: after how many of the iterations it is over. Once they are carried out: TAKES, tokens that it
        got, and MORE, the blocks that it takes for them; 0 where it is over.
    counts : Counts
    are_all : bool
        Whether they are all unfinished requests, of which those that are left go on when one is over.
    freed : tuple of int, [f]
        Blocks that others give back before the first iteration.
    """

    of: Ints
    counts: Counts
    are_all: bool
    freed: tuple[int, ...]

    @property
    def decodes_alone(self) -> bool:
        """Whether the first iteration is a decode of all, as the others are."""
        return self.counts.num_decodes == len(self.of[ROW])

    def over_iterations(self, pool: BlockPool, count: int) -> tuple[Ints, Ints, Ints, int]:
        """Blocks held in each of so many iterations, [count, f]; and in how many iterations there are enough of them.

        Between these, how many requests take part in each, and how many tokens they have cached before it, by form,
        [f, count] each, with the sums in row `ALL`. A request takes the blocks it needs in the first iteration, then
        one each time that its last one is full. It gives all back after its last iteration.
        """
        more, num_left, cached = np.zeros((3, NUM_FORMS, count), np.int64)
        room = pool.free_blocks + sum(self.freed)
        most = add_iterations(self.of, pool.cache.per_block, room, more, num_left, cached)
        more[ALL] = 0
        held = more.T + np.subtract(pool.num_blocks_by_form, self.freed)
        return held, num_left, cached, most


def decoding_of(plan: Plan, table: RequestTable, pool: BlockPool) -> Decoding | None:
    """Who decodes after a plan: all requests by `Plan.then_decodes`, else its entries.

    None where anybody has more than the newest token left to be fed after it, or, not being fed by it, the last one of
    a prompt, which is no decode. A decision with a certificate stands for its own entries alone, and who is preempted
    does not decode.
    """
    can_be_all = plan.then_decodes and plan.problem is None and not len(plan.preempt)
    found = _of_all(plan, table, pool) if can_be_all else None
    return _of_entries(plan, table, pool) if found is None else found


def _of_all(plan: Plan, table: RequestTable, pool: BlockPool) -> Decoding | None:
    """All requests, in order, in KV form; None where others are fed, or out of order."""
    rows, n = plan.request, table.num_rows
    if not len(rows) or not equal(plan.form, constant(KV, len(rows))) or not all_of(rows[1:] > rows[:-1]):
        return None
    of = np.zeros((MORE + 1, n), np.int64)
    of[ROW], of[FORM], of[FED, rows] = np.arange(n), pool.form[table.slot[:n]], plan.num_tokens
    of[FORM][of[FORM] == NONE] = KV
    at_prompt = table.num_tokens[:n] == table.num_prompt_tokens[:n]
    if largest_of(of[FORM]) > KV or any_of((of[FED] == 0) & at_prompt):
        return None
    counts = _begun(of, table, pool)
    return None if counts.num_decodes < 0 else Decoding(of, counts, True, NONE_HELD)


def _of_entries(plan: Plan, table: RequestTable, pool: BlockPool) -> Decoding | None:
    """The entries of the plan; None where some of them are prompts in another form than KV."""
    if not len(plan.request):
        return None
    of = np.empty((MORE + 1, len(plan.request)), np.int64)
    of[ROW], of[FED], of[FORM] = plan.request, plan.num_tokens, plan.form
    counts, gone = _begun(of, table, pool), table.slot[plan.preempt]
    if counts.num_decodes < (len(plan.request) if largest_of(of[FORM]) > KV else 0):
        return None
    freed = sums_by_form(pool.form[gone], pool.device.num_held[gone]) if len(gone) else NONE_HELD
    return Decoding(of, counts, False, freed)


def _begun(of: Ints, table: RequestTable, pool: BlockPool) -> Counts:
    columns = (table.slot, table.num_tokens, table.num_prompt_tokens, table.end_tokens)
    return Counts(*begin(of, columns, (pool.num_cached, pool.device.num_held)))


@compiled_if_often
def begin(of: Ints, table: tuple[Ints, Ints, Ints, Ints], pool: tuple[Ints, Ints]) -> tuple[int, int, int, int]:
    """Writes SLOT, HELD, START and LEFT of requests whose ROW and FED are known; returns their `Counts`."""
    (slot, num_tokens, num_prompt_tokens, end_tokens), (num_cached, num_held) = table, pool
    num_decodes, num_new, shortest, longest = 0, 0, 2**62, 0
    for i in range(len(of[ROW])):
        row, fed = of[ROW][i], of[FED][i]
        at, after = slot[row], num_tokens[row] - (fed == 0)  # tokens that are cached after the first iteration
        if num_cached[at] + fed != after or num_held[at] + fed == 0:
            return -1, 0, 0, 0
        of[SLOT][i], of[HELD][i] = at, num_held[at]
        of[START][i], of[LEFT][i] = after - 1, end_tokens[row] - after
        num_decodes += fed == 1 and after > num_prompt_tokens[row]
        num_new += at == NO_SLOT
        shortest, longest = min(shortest, of[LEFT][i]), max(longest, of[LEFT][i])
    return num_decodes, num_new, shortest, longest


@compiled_if_often
def add_iterations(of: Ints, per_block: tuple[int, ...], room: int, more: Ints, num_left: Ints, cached: Ints) -> int:
    """Writes what iterations come to, as in `Decoding.over_iterations`, [f, count] each, 0 before.

    `more` are blocks held beyond those before the first. Returns how many iterations there are before one in which
    these are more than `room`.
    """
    count, last = len(more[ALL]), KV
    for i in range(len(of[ROW])):
        form, start, left = of[FORM][i], of[START][i], of[LEFT][i]
        size, last = per_block[form], max(last, form)
        blocks = (start + size) // size  # in the first
        more[form][0] += blocks - of[HELD][i]
        num_left[form][0] += 1
        cached[form][0] += start
        for k in range(blocks * size - start, min(left, count), size):  # when the last one is full
            more[form][k] += 1
        if left < count:
            more[form][left] -= (start + left + size - 1) // size
            num_left[form][left] -= 1
            cached[form][left] -= start
    for form in range(KV, last + 1):
        blocks, left, begun = 0, 0, 0
        for k in range(count):
            blocks, left, begun = blocks + more[form][k], left + num_left[form][k], begun + cached[form][k]
            more[form][k], num_left[form][k], cached[form][k] = blocks, left, begun + k * left
            more[ALL][k] += blocks
            num_left[ALL][k] += left
            cached[ALL][k] += begun + k * left
    for k in range(count):
        if more[ALL][k] > room:
            return k
    return count


@compiled_if_often
def take_until(now_s: float, until_s: float, last_s: float, scheduling_s: Floats, end_s: Floats) -> int:
    """Writes when iterations end, over how long each takes without scheduling; returns how many of them are begun.

    They begin one after the other, the first now, none at `until_s` or after `last_s`, and no more than have a time of
    scheduling.
    """
    for k in range(len(scheduling_s)):
        if now_s >= until_s or now_s > last_s:
            return k
        now_s += end_s[k] + scheduling_s[k]
        end_s[k] = now_s
    return len(scheduling_s)
