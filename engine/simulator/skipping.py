"""Iterations in which a plan holds, taken many at once on a computed clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aptsched.problem.certificate_log import EXACT
from aptsched.scheduling.forms import KV, NUM_FORMS
from aptsched.scheduling.plan import ROWS, Plan
from aptsched.support.arrays import all_of, largest_of, smallest_of
from aptsched.support.checks import Ints
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.simulator.computed_executor import TOKEN_ID, ComputedExecutor
from engine.simulator.stretch import Stretch
from engine.state.pool import BlockPool

MAX_STRETCH = 4096  # iterations that are taken at once
CHANGES = tuple(name for name in ROWS if name not in ("request", "candidates"))


class Skipping:
    """Takes the iterations of a plan that holds at once, up to the last one in which nothing happens.

    Nothing happens in an iteration of a plan with entries alone, each of which is a decode, if there are blocks for all
    of them, none of them ends, and no request arrives until its end. What is true of the requests, the pool and the
    clock afterwards is the same, to the last bit, as if the iterations had been taken one by one.

    Parameters
    ----------
    executor : ComputedExecutor
        The executor of the worker.
    on_stretch : callable
        Called with each `Stretch`, in place of `Worker.on_iteration` with its iterations.
    """

    def __init__(self, executor: ComputedExecutor, on_stretch: Callable[[Stretch], object]) -> None:
        self.executor, self.on_stretch = executor, on_stretch

    def __call__(self, worker: Worker, plan: Plan, now_s: float, until_s: float) -> float:
        """Takes iterations of the plan that end before `until_s`. Returns the end of the last, or the time now."""
        rows, table, pool = plan.request, worker.table, worker.pool
        if worker.on_token is not None or worker.limits.max_iteration_s is not None or not _decodes_alone(plan, worker):
            return now_s
        left = smallest_of(table.end_tokens[rows] - table.num_tokens[rows])  # the iteration that ends the first of them
        most = min(plan.holds, left - 1, MAX_STRETCH)
        if most < 1:
            return now_s
        slot = table.slot[rows]
        held = _blocks_held(pool, slot, most + 1)
        most = min(most, int(held.sum(axis=1).searchsorted(pool.num_blocks, side="right")) - 1)  # the next one fits too
        if most < 1:
            return now_s
        seconds = np.empty(most + 1)
        seconds[0], scheduling_s = now_s, _scheduling_s(worker)
        seconds[1:] = self.executor.decodes_s(pool.num_cached[slot], pool.form[slot], most)
        seconds[1:] += scheduling_s
        end_s = seconds.cumsum()[1:]  # added up in order
        count = int(end_s.searchsorted(until_s))
        if count < 1:
            return now_s
        first = _first(worker, plan, (now_s, float(end_s[0]), scheduling_s), held[0])
        stretch = Stretch(first, end_s[:count], held[:count])
        _carry_out(worker, rows, slot, stretch)
        self.on_stretch(stretch)
        return float(end_s[count - 1])


def _scheduling_s(worker: Worker) -> float:
    assert worker.scheduling is not None, "the clock is computed"
    return worker.scheduling.seconds(worker.num_unfinished)


def _decodes_alone(plan: Plan, worker: Worker) -> bool:
    """Whether the plan has entries alone, each of which runs already and feeds its newest output."""
    rows, table, pool = plan.request, worker.table, worker.pool
    if not len(rows) or any(len(getattr(plan, name)) for name in CHANGES):
        return False
    if plan.selection is not None and plan.selection.gap > EXACT:
        return False  # each iteration would have another gap
    slot, num_tokens = table.slot[rows], table.num_tokens[rows]
    if not all_of(pool.device.num_held[slot] > 0) or largest_of(num_tokens - pool.num_cached[slot]) > 1:
        return False
    return all_of(num_tokens > table.num_prompt_tokens[rows])


def _blocks_held(pool: BlockPool, slot: Ints, count: int) -> Ints:
    """Blocks of the pool that are held in each of so many iterations, if there are enough, [count, f].

    A request takes a block when its last one is full, and then another one each time that it has filled that.
    """
    held = np.empty((count, NUM_FORMS), np.int64)
    held[:] = pool.num_blocks_by_form
    forms, cached, num_held = pool.form[slot], pool.num_cached[slot], pool.device.num_held[slot]
    for form in [KV] if largest_of(forms) == KV else np.unique(forms).tolist():
        per_block = pool.cache.per_block[form]
        room = (num_held * per_block - cached)[forms == form]  # tokens until its last block is full
        held[:, form] += np.resize(np.bincount(room, minlength=per_block), count).cumsum()
    return held


def _first(worker: Worker, plan: Plan, times_s: tuple[float, float, float], held: Ints) -> Iteration:
    """The record of the first iteration of a stretch: its start, its end, and the part of it that is scheduling."""
    start_s, end_s, scheduling_s = times_s
    return Iteration(
        number=worker.num_iterations,
        start_s=start_s,
        end_s=end_s,
        scheduling_s=scheduling_s,
        num_prefill_tokens=0,
        num_decode_tokens=len(plan.request),
        num_seqs=len(plan.request),
        num_blocks_by_form=tuple(held.tolist()),
        num_waiting=worker.table.num_waiting,
        num_preemptions=0,
        num_promotions=0,
        num_rejections=0,
        num_swap_outs=0,
        num_swap_ins=0,
        num_swapped_blocks=0,
        problem=plan.problem,
        selection=plan.selection,
    )


def _carry_out(worker: Worker, rows: Ints, slot: Ints, stretch: Stretch) -> None:
    """Gives every request, of these rows and slots, the blocks and tokens of all iterations."""
    table, pool, count, end_s = worker.table, worker.pool, len(stretch), stretch.end_s
    pool.num_cached[slot] += count
    after = pool.cache.blocks_by_form(pool.num_cached[slot], pool.form[slot])
    pool.device.give(slot, after - pool.device.num_held[slot])
    table.add_tokens(rows, float(end_s[0]))
    if count > 1:
        table.missed_slo[rows] |= np.diff(end_s).max() > table.objective_s[rows]
        table.pending_since_s[rows] = end_s[-1]
        table.num_tokens[rows] += count - 1
    token_ids, times = [TOKEN_ID] * count, end_s.tobytes()
    for request in table.request[rows].tolist():
        request.output_token_ids.extend(token_ids)
        request.token_at_s.frombytes(times)
    worker.num_iterations += count
