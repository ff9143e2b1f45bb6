"""A plan and the decodes that follow it, taken at once on a computed clock."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from aptsched.problem.certificate_log import EXACT
from aptsched.scheduling.first_come import first_come_of
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import ALWAYS, Plan
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Floats, Ints
from aptsched.support.constant import constant
from engine.loop.arrivals import Arrivals
from engine.loop.carry_out import preempt
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.decoding import ALL, Decoding, decoding_of, take_until
from engine.simulator.in_order import InOrder, is_in_order
from engine.simulator.settling import settle
from engine.simulator.stretch import Stretch

MAX_STRETCH = 4096  # iterations that are taken at once
SPARE = 16  # iterations that are computed beside those expected until somebody arrives


class Skipping:
    """Takes iterations at once: those of a plan and the decodes after it that it holds for, or those that go by a rule.

    A plan that does nothing but preempt requests, and feed others up to their newest token, is taken in one stretch
    with the decodes that the policy says will follow (`Plan.holds`, `Plan.then_decodes`), up to the first iteration
    that ends when a request has arrived, or after which there are no blocks for all of them. Where all that are
    unfinished decode, all in KV form, and the policy lets those go on that are left, a stretch goes beyond ends; else
    it ends at the first. Where the policy says the rule by which it serves in order of arrival (`ServesFirstCome`), a
    stretch goes on by that as long as it says what is done, past arrivals, admissions and preemptions. What is true of
    the requests, the pool and the clock afterwards is the same, to the last bit, as if the iterations had been taken
    one by one.

    Parameters
    ----------
    executor : ComputedExecutor
        The worker's. If that is another one, which remembers what it did, it is asked wherever prompts are fed.
    on_stretch : callable
        Called with each `Stretch`, in place of `Worker.on_iteration` with its iterations, when the rows of requests
        that have ended in it are gone.
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
        self._each_s = 0.0  # how long a decode lasts, about

    def __call__(self, worker: Worker, now_s: float, arrivals: Arrivals | None) -> Iteration | Plan:
        """Takes iterations, and returns the last: by the policy's rule, or of a plan until the next request arrives.

        Otherwise, and where nobody knows who arrives next, returns the plan, which is then carried out in one iteration
        as others are.
        """
        if arrivals is None:
            return worker.planned(now_s)
        last = self._in_order(worker, now_s, arrivals)
        if last is not None:
            return last
        until_s = arrivals.next_s
        if until_s > now_s and self._then_decodes and worker.table.num_waiting == 0:
            last = self._taken(worker, _decode_of_all(worker.num_unfinished), now_s, until_s)
            if last is not None:
                return last
        plan = worker.planned(now_s)
        self._then_decodes = plan.then_decodes
        last = self._taken(worker, plan, now_s, until_s) if until_s > now_s else None
        return plan if last is None else last

    def _in_order(self, worker: Worker, now_s: float, arrivals: Arrivals) -> Iteration | None:
        """The last of the iterations that were taken by the rule of a policy that serves in order of arrival."""
        rule = first_come_of(worker.policy, worker.limits.max_tokens, worker.pool.num_blocks)
        if rule is None or not (_may_skip(worker) and self._is_told_nothing(worker) and is_in_order(worker, rule)):
            return None
        serving = InOrder(worker, rule, self.executor, arrivals, now_s)
        try:
            serving.go_on(self.past_ends)
        finally:
            stretch = serving.settle()
        return None if stretch is None else self._told(worker, stretch)

    def _told(self, worker: Worker, stretch: Stretch) -> Iteration:
        """The last iteration, once the rows of those that have ended are gone, and everybody is told of the stretch."""
        worker.book.remove_ended()
        self.on_stretch(stretch)
        return stretch.last

    def _taken(self, worker: Worker, plan: Plan, now_s: float, until_s: float) -> Iteration | None:
        """The last of the iterations in which the plan was carried out; None if it cannot be so as it is."""
        going = decoding_of(plan, worker.table, worker.pool) if _only_serves(plan, worker) else None
        if going is None or not (going.decodes_alone or self._is_told_nothing(worker)):
            return None
        stretch = self._stretch(worker, plan, going, now_s, until_s)
        if stretch is None:
            return None
        if len(stretch) > 1:
            self._each_s = (stretch.end_s[-1] - stretch.end_s[0]).item() / (len(stretch) - 1)
        preempt(plan.preempt, worker.book)
        settle(worker, going, stretch.end_s)
        return self._told(worker, stretch)

    def _is_told_nothing(self, worker: Worker) -> bool:
        """Whether the worker's executor remembers nothing of a batch that feeds prompts."""
        return worker.executor is self.executor and self.executor.swap_time is None

    def _stretch(self, worker: Worker, plan: Plan, going: Decoding, now_s: float, until_s: float) -> Stretch | None:
        """The iterations in which the plan can be carried out in a row; None if there are no blocks for one."""
        last_s, holds = (until_s, ALWAYS) if going.are_all else (plan.holds_until_s, _holds(plan))
        last_s = max(min(until_s, last_s), now_s)  # the last iteration begins then, or before
        until = SPARE + 1.5 * (last_s - now_s) / self._each_s if self._each_s else math.inf  # enough, mostly
        ends = going.counts.longest if self.past_ends and going.are_all else going.counts.shortest
        count = int(min(holds + 1, ends, until, MAX_STRETCH))
        held, num_left, cached, most = going.over_iterations(worker.pool, count)
        if most < 1:
            return None
        num_seqs = num_left[ALL]
        scheduling_s = _scheduling_s(worker, num_seqs)
        end_s = np.empty(count)
        if count > 1 or going.decodes_alone:
            end_s[:] = self.executor.decodes_s(num_left, cached)
        if not going.decodes_alone:
            end_s[0] = self.executor.chunks_s(*_first_fed(plan, worker))
        count = take_until(now_s, until_s, last_s, scheduling_s[:most], end_s)
        num_seqs[0] = len(plan.request)
        first = _first(worker, plan, going, (now_s, end_s[0].item(), scheduling_s[0].item()), held[0])
        waiting = np.full(count, first.num_waiting)
        return Stretch(first, end_s[:count], scheduling_s[:count], num_seqs[:count], held[:count], waiting)


def _decode_of_all(num_requests: int) -> Plan:
    """The plan that feeds its newest token to each of so many requests, as long as there are any."""
    ones = constant(1, num_requests)
    return Plan(np.arange(num_requests), ones, constant(KV, num_requests), then_decodes=True)


def _only_serves(plan: Plan, worker: Worker) -> bool:
    """Whether the plan does nothing but preempt requests and feed its entries."""
    if len(plan.swap_out) or len(plan.swap_in) or len(plan.convert) or len(plan.reject):
        return False
    return _may_skip(worker)


def _holds(plan: Plan) -> int:
    """For how many further iterations the plan holds: none where its certificate has a gap, which each has its own."""
    return plan.holds if plan.selection is None or plan.selection.gap <= EXACT else 0


def _may_skip(worker: Worker) -> bool:
    """Whether nobody is told of each token, and no iteration is cut by its predicted time."""
    return worker.on_token is None and worker.limits.max_iteration_s is None


def _first_fed(plan: Plan, worker: Worker) -> tuple[Ints, Ints]:
    """Tokens of each entry of a plan that are cached, and that are fed."""
    return worker.pool.num_cached[worker.table.slot[plan.request]], plan.num_tokens


def _scheduling_s(worker: Worker, num_left: Ints) -> Floats:
    """Seconds of scheduling in iterations before which so many are left, [k], where others stay as they are."""
    assert worker.scheduling is not None, "the clock is computed"
    return worker.scheduling.seconds(num_left + (worker.num_unfinished - num_left[0].item()))


def _first(worker: Worker, plan: Plan, going: Decoding, times_s: tuple[float, float, float], held: Ints) -> Iteration:
    """The record of the first iteration of a stretch: its start, its end, and the part of it that is scheduling."""
    start_s, end_s, scheduling_s = times_s
    return Iteration(
        number=worker.num_iterations,
        start_s=start_s,
        end_s=end_s,
        scheduling_s=scheduling_s,
        num_prefill_tokens=sum_of(plan.num_tokens) - going.counts.num_decodes,
        num_decode_tokens=going.counts.num_decodes,
        num_seqs=len(plan.request),
        num_blocks_by_form=tuple(held.tolist()),
        num_waiting=worker.table.num_waiting - going.counts.num_new + len(plan.preempt),
        num_preemptions=len(plan.preempt),
        num_promotions=0,
        num_rejections=0,
        num_swap_outs=0,
        num_swap_ins=0,
        num_swapped_blocks=0,
        problem=plan.problem,
        selection=plan.selection,
    )
