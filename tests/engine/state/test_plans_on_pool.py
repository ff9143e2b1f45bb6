"""What plans do to the blocks of four requests, by hand; what is said of plans that are not legal, and of damage."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.plan_check import PlanError, check_plan
from caches import by_form, cache_of
from engine.loop.observe import observe
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.request_table import RequestTable
from views import changed


def four(
    num_blocks: int = 20,
    prompts: tuple[int, ...] = (16, 32, 33, 5),
    num_host_blocks: int = 0,
    cache: CacheShape | None = None,
) -> tuple[BlockPool, RequestTable]:
    """Four requests of 1, 2, 3 and 1 blocks."""
    pool, table = BlockPool(num_blocks, cache or CacheShape(), num_host_blocks), RequestTable()
    for request_id, count in enumerate(prompts):
        table.add(Request(100 + request_id, 0.0, count), end_tokens=1000, stop_token_ids=frozenset())
    return pool, table


def entries(*rows: tuple[int, int, int], **before: list[int]) -> Plan:
    """A plan of (row, tokens, form), and what is before."""
    request, num_tokens, form = np.array(rows, np.int64).reshape(-1, 3).T.copy()
    rows_before = {name: np.array(given, np.int64) for name, given in before.items()}
    return changed(Plan(request, num_tokens, form), **rows_before)


def test_a_promotion_needs_the_difference_alone() -> None:
    """33 tokens take 2 hidden blocks and 3 KV blocks: one free block is enough, and the two stay where they are."""
    pool, table = four(num_blocks=3)
    pool.apply(entries((2, 33, 2)), table)
    assert (pool.free_blocks, pool.num_blocks_by_form) == (1, by_form(hidden=2))
    promotion = pool.apply(entries(convert=[2], convert_to=[1]), table).batch.conversions[0]
    assert promotion.request.request_id == 102 and promotion.num_cached == 33
    assert set(promotion.source_blocks) < set(promotion.target_blocks) == {0, 1, 2}
    assert (pool.free_blocks, pool.num_blocks_by_form) == (0, by_form(kv=3))


def test_a_promotion_that_does_not_fit_stays_hidden_and_runs_on() -> None:
    """The entry asked for KV; it is fed in hidden form."""
    pool, table = four(num_blocks=2)
    pool.apply(entries((2, 20, 2), (3, 5, 1)), table)
    applied = pool.apply(entries((2, 1, 1), convert=[2], convert_to=[1]), table)
    assert not len(applied.converted) and not applied.batch.conversions
    assert (applied.row.tolist(), applied.batch.start.tolist(), applied.batch.form.tolist()) == ([2], [20], [2])


def test_a_cache_that_is_compressed_gives_blocks_back_to_others_of_the_same_plan() -> None:
    """KV of 3 blocks to int8 of 2, ahead of a promotion that needs one: what shrinks comes first."""
    pool, table = four(num_blocks=5, cache=cache_of(int8=Fraction(1, 2)))
    pool.apply(entries((0, 16, 1), (1, 32, 2), (2, 33, 1)), table)
    assert pool.free_blocks == 0
    batch = pool.apply(entries(convert=[1, 2], convert_to=[1, 3]), table).batch
    first, then = batch.conversions
    assert (first.request.request_id, first.source, first.target) == (102, CacheForm.KV, CacheForm.INT8)
    assert first.target_blocks.tolist() == first.source_blocks[:2].tolist()
    assert set(then.target_blocks) - set(then.source_blocks) == {first.source_blocks[2]}
    assert pool.num_blocks_by_form == by_form(kv=1 + 2, int8=2)
    pool.check_integrity()


def test_who_is_not_swapped_in_does_not_run_on_blocks_that_a_conversion_gives_back() -> None:
    """One request on the host needs a block, which comes free only behind the swaps."""
    pool, table = four(num_blocks=3, cache=cache_of(int8=Fraction(1, 2)), num_host_blocks=5)
    pool.apply(entries((0, 15, 1)), table)
    pool.apply(entries((2, 33, 1), swap_out=[0]), table)
    applied = pool.apply(entries((0, 1, 1), convert=[2], convert_to=[3], swap_in=[0]), table)
    assert applied.converted.tolist() == [2] and not len(applied.swapped_in) and not len(applied.row)
    assert (pool.free_blocks, pool.host.free_blocks) == (1, 4)
    pool.check_integrity()


def test_later_entries_are_tried_when_one_does_not_fit() -> None:
    """Of 1, 2, 3 and 1 blocks in a pool of 4, the third is left out."""
    pool, table = four(num_blocks=4)
    applied = pool.apply(entries((0, 16, 1), (1, 32, 1), (2, 33, 1), (3, 5, 1)), table)
    assert applied.row.tolist() == [0, 1, 3]
    assert pool.free_blocks == 0


def test_a_preempted_request_may_start_again_in_the_other_form() -> None:
    """Blocks freed by the preemption are there for the entry of the same plan."""
    pool, table = four(num_blocks=2)
    pool.apply(entries((1, 32, 1)), table)
    batch = pool.apply(entries((1, 32, 2), preempt=[1]), table).batch
    assert (batch.start.tolist(), batch.form.tolist(), pool.free_blocks) == ([0], [2], 1)


def test_a_swap_out_that_does_not_fit_keeps_its_blocks() -> None:
    """Of requests of 2, 3 and 1 blocks the second does not fit on the host any more; the third does."""
    pool, table = four(num_host_blocks=3)
    pool.apply(entries((1, 32, 1), (2, 33, 1), (3, 5, 1)), table)
    applied = pool.apply(entries(swap_out=[1, 2, 3]), table)
    assert applied.swapped_out.tolist() == [1, 3]
    assert (pool.free_blocks, pool.host.free_blocks) == (17, 0)
    assert len(applied.batch.swap_out.source) == 3 and not set(applied.batch.swap_out.source) & {2, 3, 4}


def test_a_swap_in_that_does_not_fit_stays_on_the_host_and_does_not_run() -> None:
    """Its promotion and its entry are left out with it; the other one comes back and runs."""
    pool, table = four(num_blocks=4, num_host_blocks=9)
    pool.apply(entries((2, 33, 2), (3, 4, 1)), table)
    pool.apply(entries(swap_out=[2, 3]), table)
    pool.apply(entries((0, 16, 1), (1, 32, 1)), table)
    applied = pool.apply(entries((2, 1, 1), (3, 1, 1), convert=[2], convert_to=[1], swap_in=[2, 3]), table)
    assert (applied.swapped_in.tolist(), applied.converted.tolist(), applied.row.tolist()) == ([3], [], [3])
    assert applied.batch.start.tolist() == [4] and (pool.free_blocks, pool.host.free_blocks) == (0, 7)
    assert not applied.batch.conversions


def test_blocks_swapped_out_are_there_for_the_entries_of_the_same_plan() -> None:
    """One request goes out, and the one that was out comes back and is promoted into the blocks it left."""
    pool, table = four(num_blocks=3, num_host_blocks=5)
    pool.apply(entries((2, 33, 2)), table)
    pool.apply(entries((0, 16, 1), (1, 32, 1), swap_out=[2]), table)
    applied = pool.apply(entries(swap_out=[0, 1], swap_in=[2], convert=[2], convert_to=[1]), table)
    assert (applied.swapped_out.tolist(), applied.swapped_in.tolist()) == ([0, 1], [2])
    assert set(applied.batch.conversions[0].target_blocks) == set(applied.batch.swap_out.source) == {0, 1, 2}
    assert not set(applied.batch.swap_out.target) & set(applied.batch.swap_in.source)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (entries((9, 1, 1)), "request: row 9 is not accepted; rows from 0 to 3 are"),
        (entries((1, 1, 1), (1, 1, 1)), "request: request 101 is there twice; each row once is accepted"),
        (entries((1, 33, 1)), "num_tokens: 33 of request 101 is not accepted; 1 to 32 are"),
        (entries((1, 0, 1)), "num_tokens: 0 of request 101 is not accepted; 1 to 32 are"),
        (entries((1, 1, 3)), r"form: 3 of request 101 is not accepted; 1 \(KV\) or 2 \(hidden\) is"),
        (entries(convert=[1], convert_to=[1]), "convert: request 101 holds no cache; requests that run are accepted"),
        (entries(convert=[3], convert_to=[2]), "convert_to: 2 of request 103 is not accepted; none is, of form 1"),
        (entries(convert=[3]), "convert_to: 0 entries are not accepted; 1, one for each row, are"),
        (entries(preempt=[1]), "preempt: request 101 holds no cache; requests that run are accepted"),
        (entries(swap_out=[1]), "swap_out: request 101 holds no blocks; requests that run are accepted"),
        (entries((3, 1, 1), swap_out=[3]), "swap_out: request 103 is in another array too; others are accepted"),
        (entries(swap_in=[3]), "swap_in: request 103 is not on the host; requests that are swapped out are accepted"),
        (
            entries(swap_in=[0], preempt=[0]),
            "swap_in: request 100 is given up or preempted in the same plan; others are accepted",
        ),
        (
            entries((0, 1, 1)),
            "request: request 100 is on the host; it is accepted with swap_in in the same plan",
        ),
        (
            entries((0, 1, 1), swap_in=[0]),
            "num_tokens: 1 of request 100 is not accepted; 1 to 0 are",
        ),
        (entries((1, 1, 1), reject=[1]), "reject: request 101 is served in the same plan; others are accepted"),
        (entries((1, 31, 1), (2, 33, 1)), "num_tokens: 64 in all is not accepted; up to 60 an iteration are"),
        (entries((1, 1, 1), (2, 1, 1), (3, 1, 1)), "request: 3 entries are not accepted; up to 2 an iteration are"),
        (changed(entries((1, 1, 1)), form=[1]), "form: list is not accepted; an int64 array with one axis is"),
        (None, "plan: NoneType is not accepted; a Plan is"),
    ],
)
def test_one_message_says_what_is_wrong(plan: Any, message: str) -> None:
    """The field, the request, the value, and what is accepted."""
    pool, table = four(num_host_blocks=1)
    pool.apply(entries((0, 16, 1), (3, 4, 1)), table)
    pool.apply(entries(swap_out=[0]), table)
    view = observe(table, pool, 0.0, max_tokens=60, max_seqs=2, times=IterationTime())
    with pytest.raises(PlanError, match=f"^{message}$"):
        check_plan(plan, view)


def test_a_view_cannot_be_written_and_does_not_change() -> None:
    """A policy can neither spoil the state nor see it move under its hands."""
    pool, table = four()
    view = observe(table, pool, 0.0, max_tokens=60, max_seqs=2, times=IterationTime())
    with pytest.raises(ValueError, match="read-only"):
        view.num_cached[0] = 1
    pool.apply(entries((0, 16, 1)), table)
    assert view.num_cached[0] == 0 and view.free_blocks == 20


@pytest.mark.parametrize("damage", ["leak", "twice", "count", "gap", "form", "leak on the host", "both"])
def test_the_check_of_integrity_finds_damage(damage: str) -> None:
    """A block lost, a block held twice, a wrong count, a hole in a table, a form of nothing, blocks on both sides."""
    pool, table = four(num_host_blocks=3)
    pool.apply(entries((0, 16, 1), (2, 33, 1)), table)
    pool.apply(entries(swap_out=[0]), table)
    slot = int(table.slot[2])
    if damage == "leak":
        pool.device.free_blocks -= 1
    elif damage == "twice":
        pool.device.table[slot, 0] = pool.device.table[slot, 1]
    elif damage == "count":
        pool.num_cached[slot] += 16
    elif damage == "gap":
        pool.device.table[slot, :4] = np.roll(pool.device.table[slot, :4], 1)
    elif damage == "leak on the host":
        pool.host.free_blocks -= 1
    elif damage == "both":
        pool.host.give(np.array([slot]), np.array([1]))
    else:
        pool.form[slot] = CacheForm.HIDDEN
    with pytest.raises(AssertionError, match=r"block|num_held"):
        pool.check_integrity()
