"""Iterations in which a plan holds, taken many at once on a computed clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aptsched.problem.certificate_log import EXACT
from aptsched.scheduling.forms import KV, NUM_FORMS
from aptsched.scheduling.plan import ALWAYS, ROWS, Plan
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
    """Takes the iterations of a plan that holds at once, up to the first in which anything else happens.

    A plan with entries alone, each of which is a decode, is taken in many iterations up to the first that ends one of
    them, or that ends when a request has arrived, or after which there are no blocks for all of them. What is true of
    the requests, the pool and the clock afterwards is the same, to the last bit, as if the iterations had been taken
    one by one.

    Parameters
    ----------
    executor : ComputedExecutor
        The executor of the worker.
    on_stretch : callable
        Called with each `Stretch`, in place of `Worker.on_iteration` with its iterations.

    Notes
    -----
    Each worker has one of its own.
    """

    def __init__(self, executor: ComputedExecutor, on_stretch: Callable[[Stretch], object]) -> None:
        self.executor, self.on_stretch = executor, on_stretch
        self._goes_on = False  # whether the last plan holds for those that are left of its entries, if nobody has come

    def __call__(self, worker: Worker, now_s: float, until_s: float) -> tuple[Iteration, Ints] | Plan:
        """Takes iterations of a plan up to the first that ends at `until_s` or later: returns the last, and its rows.

        Otherwise returns the plan, which is then carried out in one iteration as others are.
        """
        goes_on, self._goes_on = self._goes_on and worker.table.num_waiting == 0 and until_s > now_s, False
        if goes_on:
            plan = Plan(np.arange(worker.num_unfinished), holds=ALWAYS)
        else:
            plan = worker.planned(now_s)
            if until_s <= now_s or not plan.holds or not _decodes_alone(plan, worker):
                return plan
        stretch = self._stretch(worker, plan, now_s, until_s)
        if stretch is None:
            return worker.planned(now_s) if goes_on else plan
        self._goes_on = plan.holds == ALWAYS and plan.problem is None and _are_all(plan.request, worker)
        _carry_out(worker, plan.request, stretch)
        self.on_stretch(stretch)
        return stretch.last, plan.request

    def _stretch(self, worker: Worker, plan: Plan, now_s: float, until_s: float) -> Stretch | None:
        """The iterations in which the plan can be carried out in a row; None if there are no blocks for one."""
        table, pool, rows = worker.table, worker.pool, plan.request
        left = smallest_of(table.end_tokens[rows] - table.num_tokens[rows])  # iterations until one of them ends
        slot = table.slot[rows]
        held, taken = _blocks(pool, slot, min(plan.holds + 1, left, MAX_STRETCH))
        most = int(taken.searchsorted(pool.free_blocks, side="right"))
        if most < 1:
            return None
        times_s, scheduling_s = np.empty(most + 1), _scheduling_s(worker)
        times_s[0] = now_s
        times_s[1:] = self.executor.decodes_s(pool.num_cached[slot], pool.form[slot], most)
        times_s[1:] += scheduling_s
        times_s = times_s.cumsum()  # added up in order
        count = min(most, int(times_s.searchsorted(until_s)))
        first = _first(worker, plan, (now_s, float(times_s[1]), scheduling_s), held[0])
        return Stretch(first, times_s[1 : count + 1], held[:count])


def _are_all(rows: Ints, worker: Worker) -> bool:
    """Whether the rows are those of all unfinished requests, in order."""
    return len(rows) == worker.num_unfinished and all_of(rows[1:] > rows[:-1])


def _scheduling_s(worker: Worker) -> float:
    assert worker.scheduling is not None, "the clock is computed"
    return worker.scheduling.seconds(worker.num_unfinished)


def _decodes_alone(plan: Plan, worker: Worker) -> bool:
    """Whether the plan has entries alone, each of which runs already and feeds its newest output.

    And nobody is told of each token, and no iteration is cut by its predicted time.
    """
    rows, table, pool = plan.request, worker.table, worker.pool
    if not len(rows) or any(len(getattr(plan, name)) for name in CHANGES):
        return False
    if worker.on_token is not None or worker.limits.max_iteration_s is not None:
        return False
    if plan.selection is not None and plan.selection.gap > EXACT:
        return False  # each iteration would have another gap
    slot, num_tokens = table.slot[rows], table.num_tokens[rows]
    if not all_of(pool.device.num_held[slot] > 0) or largest_of(num_tokens - pool.num_cached[slot]) > 1:
        return False
    return all_of(num_tokens > table.num_prompt_tokens[rows])


def _blocks(pool: BlockPool, slot: Ints, count: int) -> tuple[Ints, Ints]:
    """Blocks that are held in each of so many iterations, [count, f], and of these taken since now, [count].

    A request takes a block when its last one is full, and then another one each time that it has filled that.
    """
    held = np.empty((count, NUM_FORMS), np.int64)
    held[:] = pool.num_blocks_by_form
    later, taken = np.arange(count), np.zeros(count, np.int64)
    forms, cached, num_held = pool.form[slot], pool.num_cached[slot], pool.device.num_held[slot]
    for form in [KV] if largest_of(forms) == KV else np.unique(forms).tolist():
        per_block = pool.cache.per_block[form]
        room = (num_held * per_block - cached)[forms == form]  # tokens until its last block is full
        more = np.bincount(room, minlength=per_block)[later % per_block].cumsum()
        held[:, form] += more
        taken += more
    return held, taken


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


def _carry_out(worker: Worker, rows: Ints, stretch: Stretch) -> None:
    """Gives every request, of these rows, the blocks and tokens of all iterations."""
    table, pool, count, end_s = worker.table, worker.pool, len(stretch), stretch.end_s
    slot = table.slot[rows]
    pool.num_cached[slot] += count
    after = pool.cache.blocks_by_form(pool.num_cached[slot], pool.form[slot])
    pool.device.give(slot, after - pool.device.num_held[slot])
    table.add_tokens(rows, float(end_s[0]))
    if count > 1:
        table.missed_slo[rows] |= (end_s[1:] - end_s[:-1]).max() > table.objective_s[rows]
        table.pending_since_s[rows] = end_s[-1]
        table.num_tokens[rows] += count - 1
    token_ids, times = [TOKEN_ID] * count, end_s.tobytes()
    for request in table.request[rows].tolist():
        request.output_token_ids.extend(token_ids)
        request.token_at_s.frombytes(times)
    worker.num_iterations += count - 1  # the last one is counted when it is over
