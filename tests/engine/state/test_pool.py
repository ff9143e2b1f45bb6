"""The block pool does what a plain, slow pool does, and no plan, legal or not, breaks it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import ROWS, Plan
from aptsched.scheduling.plan_check import PlanError, check_plan
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from caches import by_form, cache_of
from engine.loop.observe import observe
from engine.state.blocks import fitting
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.request_table import RequestTable
from random_policy import RandomPolicy

RATIOS = [Fraction(1, 3), Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(2)]
SEEDS = st.integers(0, 2**32 - 1)


@dataclass
class Held:
    """What the plain pool knows of a request."""

    num_cached: int = 0
    form: int = 0
    num_held: int = 0
    num_swapped: int = 0


class PlainPool:
    """The rules of `Plan`, one request at a time."""

    def __init__(self, num_blocks: int, cache: CacheShape, num_host_blocks: int) -> None:
        self.free, self.free_host, self.cache, self.held = num_blocks, num_host_blocks, cache, dict[int, Held]()

    def blocks(self, num_tokens: int, form: int) -> int:
        """Blocks of so many tokens, counted up one token at a time."""
        ratio = Fraction(1) if form == CacheForm.KV else self.cache.ratios[CacheForm(form)]
        per_block = int(self.cache.block_size / ratio)
        blocks = 0
        while blocks * per_block < num_tokens:
            blocks += 1
        return blocks

    def drop(self, request_id: int) -> None:
        self.free += self.held[request_id].num_held
        self.free_host += self.held[request_id].num_swapped
        self.held[request_id] = Held()

    def swap_out(self, request_id: int) -> bool:
        held = self.held[request_id]
        if held.num_held > self.free_host:
            return False
        self.free, self.free_host = self.free + held.num_held, self.free_host - held.num_held
        self.held[request_id] = replace(held, num_held=0, num_swapped=held.num_held)
        return True

    def swap_in(self, request_id: int) -> bool:
        held = self.held[request_id]
        if held.num_swapped > self.free:
            return False
        self.free, self.free_host = self.free - held.num_swapped, self.free_host + held.num_swapped
        self.held[request_id] = replace(held, num_held=held.num_swapped, num_swapped=0)
        return True

    def take(self, request_id: int, num_cached: int, form: int) -> bool:
        held = self.held[request_id]
        num_held = self.blocks(num_cached, form)
        if held.num_swapped or num_held - held.num_held > self.free:
            return False
        self.free -= num_held - held.num_held
        self.held[request_id] = Held(num_cached, form, num_held)
        return True

    def shrinks(self, request_id: int, form: int) -> bool:
        held = self.held[request_id]
        return self.blocks(held.num_cached, form) < held.num_held

    def convert(self, request_id: int, form: int) -> bool:
        return self.take(request_id, self.held[request_id].num_cached, form)

    def apply(self, plan: Plan, view: View) -> tuple[list[int], ...]:
        """Requests swapped out, swapped in, converted, and in the batch."""
        ids = view.request_id
        for row in [*plan.reject, *plan.preempt]:
            self.drop(ids[row])
        out = [ids[row] for row in plan.swap_out if self.swap_out(ids[row])]
        back = [ids[row] for row in plan.swap_in if self.swap_in(ids[row])]
        forms = list(zip(ids[plan.convert].tolist(), plan.convert_to.tolist(), strict=True))
        shrinking = [self.shrinks(number, form) for number, form in forms]
        converted = [
            number
            for first in (True, False)
            for (number, form), shrinks in zip(forms, shrinking, strict=True)
            if shrinks == first and self.convert(number, form)
        ]
        served = []
        for row, num_tokens, form in zip(plan.request, plan.num_tokens, plan.form, strict=True):
            held = self.held[ids[row]]
            if self.take(ids[row], held.num_cached + num_tokens, held.form or form):
                served.append(ids[row])
        return out, back, converted, served


class Pool(RuleBasedStateMachine):
    """Requests come and go, and random plans run."""

    @initialize(
        ratio=st.sampled_from(RATIOS),
        num_blocks=st.integers(1, 40),
        num_host_blocks=st.integers(0, 40),
        block_size=st.sampled_from([1, 4, 16]),
    )
    def start(self, ratio: Fraction, num_blocks: int, num_host_blocks: int, block_size: int) -> None:
        cache = cache_of(ratio, block_size)
        self.pool, self.table = BlockPool(num_blocks, cache, num_host_blocks), RequestTable()
        self.plain = PlainPool(num_blocks, cache, num_host_blocks)
        self.num_added = 0

    def view(self) -> View:
        return observe(self.table, self.pool, 0.0, max_tokens=200, max_seqs=8, times=IterationTime())

    def remove(self, rows: np.ndarray) -> None:
        for request_id in self.table.request_id[rows].tolist():
            self.plain.drop(request_id)
            del self.plain.held[request_id]
        self.pool.release(rows, self.table)
        self.table.remove(rows)

    @rule(num_prompt_tokens=st.lists(st.integers(1, 100), min_size=1, max_size=40))
    def add(self, num_prompt_tokens: list[int]) -> None:
        for count in num_prompt_tokens:
            self.table.add(Request(self.num_added, 0.0, count), end_tokens=1000, stop_token_ids=frozenset())
            self.plain.held[self.num_added] = Held()
            self.num_added += 1

    @precondition(lambda self: self.table.num_rows)
    @rule(seed=SEEDS)
    def run(self, seed: int) -> None:
        """A legal plan does what the plain pool does, and blocks are given without end or overlap."""
        view = self.view()
        plan = RandomPolicy(np.random.default_rng(seed), reject_share=0.02).decide(view)
        check_plan(plan, view)
        start = np.where(np.isin(plan.request, plan.preempt), 0, view.num_cached[plan.request])
        applied = self.pool.apply(plan, self.table)
        batch = applied.batch
        before = {request_id: held.num_held for request_id, held in self.plain.held.items()}
        out, back, converted, served = self.plain.apply(plan, view)
        assert view.request_id[applied.swapped_out].tolist() == out
        assert view.request_id[applied.swapped_in].tolist() == back
        assert len(batch.swap_out.source) == len(batch.swap_out.target) == sum(before[number] for number in out)
        assert len(batch.swap_in.source) == len(batch.swap_in.target) == view.num_swapped[applied.swapped_in].sum()
        assert view.request_id[applied.converted].tolist() == converted
        assert [request.request_id for request in batch.requests] == view.request_id[applied.row].tolist() == served
        kept = np.isin(plan.request, applied.row)
        assert batch.start.tolist() == start[kept].tolist()
        assert batch.num_tokens.tolist() == plan.num_tokens[kept].tolist()
        stop = batch.start + batch.num_tokens
        assert batch.samples.tolist() == (stop == view.num_tokens[applied.row]).tolist()
        for request, form, blocks in zip(batch.requests, batch.form, batch.block_table, strict=True):
            held = self.plain.held[request.request_id]
            assert form == held.form and (blocks >= 0).tolist() == [i < held.num_held for i in range(len(blocks))]
        taken = batch.block_table[batch.block_table >= 0]
        assert len(np.unique(taken)) == len(taken)
        assert [made.request.request_id for made in batch.conversions] == converted
        for made in batch.conversions:
            source, target = made.source_blocks, made.target_blocks
            shared = min(len(source), len(target))
            assert source[:shared].tolist() == target[:shared].tolist()
            assert len(source) == self.plain.blocks(made.num_cached, made.source)
            assert len(target) == self.plain.blocks(made.num_cached, made.target)
        over = self.table.add_tokens(applied.row[batch.samples], 1.0)
        assert not over.any()
        if len(plan.reject):
            self.remove(plan.reject)

    @precondition(lambda self: self.table.num_rows)
    @rule(seed=SEEDS)
    def end(self, seed: int) -> None:
        """Requests end, and their blocks come back."""
        rng = np.random.default_rng(seed)
        self.remove(rng.permutation(self.table.num_rows)[: rng.integers(1, self.table.num_rows + 1)])

    @precondition(lambda self: self.table.num_rows)
    @rule(seed=SEEDS)
    def refuse(self, seed: int) -> None:
        """Of a plan made illegal, one message says what is wrong."""
        view, rng = self.view(), np.random.default_rng(seed)
        plan = RandomPolicy(rng, reject_share=0.1, idle_share=0.0).decide(view)
        for broken in breaks(plan, view):
            with pytest.raises(PlanError, match=r"accepted"):
                check_plan(broken, view)

    @invariant()
    def sound(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.pool.check_integrity()
        assert (self.pool.free_blocks, self.pool.host.free_blocks) == (self.plain.free, self.plain.free_host)
        view = self.view()
        expected = [self.plain.held[request_id] for request_id in view.request_id.tolist()]
        assert view.form.tolist() == [held.form for held in expected]
        assert view.num_cached.tolist() == [held.num_cached for held in expected]
        assert view.num_held.tolist() == [held.num_held for held in expected]
        assert view.num_swapped.tolist() == [held.num_swapped for held in expected]
        assert view.running.tolist() == [held.num_held > 0 for held in expected]
        for form, num_blocks in enumerate(self.pool.num_blocks_by_form):
            assert num_blocks == sum(held.num_held for held in expected if held.form == form)
            assert self.pool.cache.offers(form) or form == CacheForm.NONE or form not in view.form


def changed(plan: Plan, **fields: Any) -> Plan:
    """The plan with other fields, of any type."""
    return replace(plan, **fields)


def breaks(plan: Plan, view: View) -> list[Plan]:
    """Plans, each with one thing wrong."""
    n, served = len(view.request_id), len(plan.request)
    one, row = np.ones(1, np.int64), np.zeros(1, np.int64)
    waiting, running = np.flatnonzero(~view.running)[:1], np.flatnonzero(view.running)[:1]
    not_hidden = np.flatnonzero(view.form != CacheForm.HIDDEN)[:1]
    not_away, away = np.flatnonzero(view.num_swapped == 0)[:1], np.flatnonzero(view.num_swapped > 0)[:1]
    broken = [changed(plan, **{name: np.append(getattr(plan, name), bad)}) for name in ROWS[1:] for bad in (n, -1)]
    broken += [Plan(reject=row, preempt=row), replace(plan, preempt=np.zeros((1, 1), np.int64))]
    broken += [Plan(request=bad, num_tokens=one, form=one) for bad in (row - 1, row + n)]
    broken += [changed(Plan(num_tokens=one, form=one), request=row.astype(np.int32))]
    broken += [Plan(request=row, num_tokens=count * one, form=one) for count in (0, -1, 10**6)]
    broken += [Plan(request=row, num_tokens=one, form=form * one) for form in (-1, 0, len(CacheForm))]
    broken += [Plan(preempt=bad) for bad in [np.setdiff1d(waiting, away)] if len(bad)]
    broken += [Plan(swap_out=bad) for bad in [waiting] if len(bad)]
    broken += [Plan(swap_in=bad) for bad in [not_away] if len(bad)]
    if len(running):
        feed = Plan(running, one, view.form[running])
        broken += [replace(feed, swap_out=running), Plan(swap_out=running, preempt=running)]
    if len(away):
        broken += [Plan(away, one, view.form[away]), Plan(swap_in=away, preempt=away), Plan(swap_in=away, reject=away)]
        broken += [Plan(convert=away, convert_to=one)]
    broken += [Plan(convert=one_row, convert_to=one) for one_row in [not_hidden] if len(one_row)]
    broken += [Plan(one_row, one, 3 - view.form[one_row]) for one_row in [running] if len(one_row)]
    never = [form for form in CacheForm if not view.cache.offers(form)]
    broken += [Plan(request=row, num_tokens=one, form=form * one) for form in never]
    if served:
        broken += [replace(plan, reject=plan.request[:1]), replace(plan, num_tokens=plan.num_tokens.astype(float))]
        broken += [replace(plan, form=plan.form[1:]), replace(plan, num_tokens=np.append(plan.num_tokens, 1))]
        request, num_tokens, form = (
            np.append(given, given[:1]) for given in (plan.request, plan.num_tokens, plan.form)
        )
        broken.append(Plan(request, num_tokens, form))
    return broken


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.lists(st.integers(0, 9)), st.integers(0, 30))
def test_what_fits_is_what_one_after_the_other_would_take(need: list[int], given_room: int) -> None:
    """Each takes what it needs if that is still there."""
    expected, room = [], given_room
    for count in need:
        expected.append(count <= room)
        room -= count if count <= room else 0
    assert fitting(np.array(need, np.int64), given_room).tolist() == expected


def four(
    num_blocks: int = 20, prompts: tuple[int, ...] = (16, 32, 33, 5), num_host_blocks: int = 0
) -> tuple[BlockPool, RequestTable]:
    """Four requests of 1, 2, 3 and 1 blocks."""
    pool, table = BlockPool(num_blocks, CacheShape(), num_host_blocks), RequestTable()
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


def test_a_pool_without_blocks_is_refused() -> None:
    """The message says what is accepted; so it does of a host with fewer than none."""
    with pytest.raises(InputError, match="num_blocks: 0 is not accepted; 1 to 16777216 blocks are"):
        BlockPool(0, CacheShape())
    with pytest.raises(InputError, match="num_host_blocks: -1 is not accepted; 0 to 16777216 blocks are"):
        BlockPool(1, CacheShape(), -1)


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
