"""The block pool does what a plain, slow pool does, and no plan, legal or not, breaks it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

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
from caches import cache_of
from engine.loop.observe import observe
from engine.state.blocks import fitting
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.request_table import RequestTable
from plain_pool import Held, PlainPool
from random_policy import RandomPolicy
from strategies import RATIOS
from views import changed

SEEDS = st.integers(0, 2**32 - 1)


class Pool(RuleBasedStateMachine):
    """Requests come and go, and random plans run."""

    @initialize(
        ratio=st.sampled_from(RATIOS),
        int8=st.sampled_from([Fraction(9, 32), Fraction(33, 64), Fraction(3, 2)]),
        num_blocks=st.integers(1, 40),
        num_host_blocks=st.integers(0, 40),
        block_size=st.sampled_from([1, 4, 16]),
    )
    def start(self, ratio: Fraction, int8: Fraction, num_blocks: int, num_host_blocks: int, block_size: int) -> None:
        cache = cache_of(ratio, block_size, int8=int8)
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


def test_a_pool_without_blocks_is_refused() -> None:
    """The message says what is accepted; so it does of a host with fewer than none."""
    with pytest.raises(InputError, match="num_blocks: 0 is not accepted; 1 to 16777216 blocks are"):
        BlockPool(0, CacheShape())
    with pytest.raises(InputError, match="num_host_blocks: -1 is not accepted; 0 to 16777216 blocks are"):
        BlockPool(1, CacheShape(), -1)
