"""Iterations in which a plan holds, taken many at once on a computed clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aptsched.problem.certificate_log import EXACT
from aptsched.scheduling.forms import KV, NUM_FORMS
from aptsched.scheduling.plan import ALWAYS, ROWS, Plan
from aptsched.support.arrays import all_of, any_of, largest_of, smallest_of
from aptsched.support.checks import Floats, Ints
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.simulator.computed_executor import TOKEN_ID, ComputedExecutor
from engine.simulator.stretch import Stretch
from engine.simulator.work import num_left
from engine.state.pool import BlockPool

MAX_STRETCH = 4096  # iterations that are taken at once
SPARE = 16  # iterations that are computed beside those expected until somebody arrives
CHANGES = tuple(name for name in ROWS if name not in ("request", "candidates"))


class Skipping:
    """Takes the iterations of a plan that holds at once, up to the first in which anything else happens.

    A plan with entries alone, each of which is a decode, is taken in many iterations up to the first that ends one of
    them, or that ends when a request has arrived, or after which there are no blocks for all of them. Where all that
    are unfinished decode, all in KV form, and the policy lets those go on that are left (`Plan.then_decodes`), it is
    taken beyond ends. What is true of the requests, the pool and the clock afterwards is the same, to the last bit, as
    if the iterations had been taken one by one.

    Parameters
    ----------
    executor : ComputedExecutor
        The executor of the worker.
    on_stretch : callable
        Called with each `Stretch`, in place of `Worker.on_iteration` with its iterations.
    past_ends : bool
        Whether iterations may go on where requests end, whose records are then handed over after them: not if a record
        may end the run.

    Notes
    -----
    Each worker has one of its own.
    """

    def __init__(
        self, executor: ComputedExecutor, on_stretch: Callable[[Stretch], object], past_ends: bool = True
    ) -> None:
        self.executor, self.on_stretch, self.past_ends = executor, on_stretch, past_ends
        self._then_decodes = False  # as of the last plan
        self._each_s = 0.0  # how long an iteration lasts, about

    def __call__(self, worker: Worker, now_s: float, until_s: float) -> Iteration | Plan:
        """Takes iterations of a plan up to the first that ends at `until_s` or later, and returns the last.

        Otherwise returns the plan, which is then carried out in one iteration as others are.
        """
        if until_s > now_s and self._then_decodes and worker.table.num_waiting == 0:
            decode = Plan(np.arange(worker.num_unfinished), holds=ALWAYS, then_decodes=True)
            last = self._taken(worker, decode, now_s, until_s)
            if last is not None:
                return last
        plan = worker.planned(now_s)
        self._then_decodes = plan.then_decodes
        last = self._taken(worker, plan, now_s, until_s) if until_s > now_s and plan.holds else None
        return plan if last is None else last

    def _taken(self, worker: Worker, plan: Plan, now_s: float, until_s: float) -> Iteration | None:
        """The last of the iterations in which the plan was carried out; None if it cannot be so as it is."""
        if not _decodes_alone(plan, worker):
            return None
        left = worker.table.end_tokens[plan.request] - worker.table.num_tokens[plan.request]
        stretch = self._stretch(worker, plan, left, now_s, until_s)
        if stretch is None:
            return None
        self._each_s = (stretch.end_s[-1].item() - now_s) / len(stretch)
        _carry_out(worker, plan.request, left, stretch)
        self.on_stretch(stretch)
        return stretch.last

    def _stretch(self, worker: Worker, plan: Plan, left: Ints, now_s: float, until_s: float) -> Stretch | None:
        """The iterations in which the plan can be carried out in a row; None if there are no blocks for one.

        In how many more each entry is over, `left`, [b], is known.
        """
        table, pool, rows = worker.table, worker.pool, plan.request
        slot = table.slot[rows]
        start, form = pool.num_cached[slot], pool.form[slot]
        past_ends = self.past_ends and plan.then_decodes and _are_all(rows, worker) and largest_of(form) == KV
        last_s = max(min(until_s, plan.holds_until_s), now_s)  # the last iteration begins then, or before
        until = SPARE + 1.5 * (last_s - now_s) / self._each_s if self._each_s else np.inf  # enough, mostly
        count = min(plan.holds + 1, largest_of(left) if past_ends else smallest_of(left), MAX_STRETCH)
        count = int(min(count, until))
        held, taken = _blocks(pool, slot, left, count)
        most = int(np.maximum.accumulate(taken).searchsorted(pool.free_blocks, side="right"))
        if most < 1:
            return None
        num_seqs = num_left(left, count)
        scheduling_s = _scheduling_s(worker, num_seqs)
        times_s = np.empty(count + 1)
        times_s[0] = now_s
        times_s[1:] = self.executor.decodes_s(start, left, form, count)
        times_s[1:] += scheduling_s
        times_s = times_s.cumsum()  # added up in order
        count = min(most, int(times_s.searchsorted(until_s)), int(times_s.searchsorted(last_s, side="right")))
        first = _first(worker, plan, (now_s, times_s[1].item(), scheduling_s[0].item()), held[0])
        return Stretch(first, times_s[1 : count + 1], scheduling_s[:count], num_seqs[:count], held[:count])


def _are_all(rows: Ints, worker: Worker) -> bool:
    """Whether the rows are those of all unfinished requests, in order."""
    return len(rows) == worker.num_unfinished and all_of(rows[1:] > rows[:-1])


def _scheduling_s(worker: Worker, num_seqs: Ints) -> Floats:
    """Seconds of scheduling in iterations of so many of the requests, [k], where who is no entry stays as it is."""
    assert worker.scheduling is not None, "the clock is computed"
    return worker.scheduling.seconds(num_seqs + (worker.num_unfinished - num_seqs[0].item()))


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


def _blocks(pool: BlockPool, slot: Ints, left: Ints, count: int) -> tuple[Ints, Ints]:
    """Blocks that are held in each of so many iterations, [count, f], and how many more they are than now, [count].

    A request takes a block when its last one is full, and then another one each time that it has filled that. It gives
    all back after `left` iterations, [b].
    """
    held = np.empty((count, NUM_FORMS), np.int64)
    held[:] = pool.num_blocks_by_form
    taken, over = np.zeros(count, np.int64), left < count
    forms, cached, num_held = pool.form[slot], pool.num_cached[slot], pool.device.num_held[slot]
    for form in [KV] if largest_of(forms) == KV else np.unique(forms).tolist():
        are, per_block = forms == form, pool.cache.per_block[form]
        full = (num_held * per_block - cached)[are, None] + np.arange(0, count, per_block)  # when a block is full
        more = np.bincount(full[full < np.minimum(left, count)[are, None]], minlength=count)
        ended = over & are
        if any_of(ended):
            back = pool.cache.blocks((cached + left)[ended], form)
            more -= np.bincount(left[ended], back, count).astype(np.int64)
        more = more.cumsum()
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


def _carry_out(worker: Worker, rows: Ints, left: Ints, stretch: Stretch) -> None:
    """Gives every request, of these rows, the blocks and tokens of its iterations, and ends those that are over."""
    table, pool, count, end_s = worker.table, worker.pool, len(stretch), stretch.end_s
    slot, number, over = table.slot[rows], np.minimum(left, count), left <= count
    pool.num_cached[slot] += number
    table.add_tokens(rows, end_s[0].item())
    table.num_tokens[rows] += number - 1
    if count > 1:  # of who is over this is not looked at any more
        table.missed_slo[rows] |= (end_s[1:] - end_s[:-1]).max() > table.objective_s[rows]
        table.pending_since_s[rows] = end_s[-1]
    token_ids, times = [TOKEN_ID] * count, end_s.tobytes()
    for request, k in zip(table.request[rows].tolist(), number.tolist(), strict=True):
        request.output_token_ids.extend(token_ids[:k])
        request.token_at_s.frombytes(times[: k * end_s.itemsize])
    if any_of(over):
        worker.book.end_over(rows[over][left[over].argsort(kind="stable")])
        slot = slot[~over]
    after = pool.cache.blocks_by_form(pool.num_cached[slot], pool.form[slot])
    pool.device.give(slot, after - pool.device.num_held[slot])
    worker.num_iterations += count - 1  # the last one is counted when it is over
