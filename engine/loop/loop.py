"""The serving loop: view, plan, pool, executor, record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import compress
from time import perf_counter

import numpy as np

from aptsched.scheduling.certificate_check import certifies_itself, check_certificate
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.plan_check import check_plan
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support import interrupts
from aptsched.support.errors import InputError, described
from aptsched.support.flags import all_of
from engine.loop.arrivals import Arrivals
from engine.loop.clock import Clock
from engine.loop.iteration import Iteration, iteration_of
from engine.loop.lifecycle import RequestBook
from engine.loop.limits import Limits, need
from engine.loop.observe import observe
from engine.state.batch import Executor, Step
from engine.state.pool import Applied, BlockPool
from engine.state.request import Request

IDLE_S = 0.01  # until a policy under which nothing ran is asked again
MAX_IDLE = 1000  # such decisions in a row, with nothing to arrive, before the rest is given up
INTERRUPTED = "interrupted"  # why requests are unfinished after Ctrl-C
MAX_LATE = 1000  # requests that callbacks may add while a run is being closed


class Loop:
    """Serves requests, iteration by iteration.

    Parameters
    ----------
    policy : Policy
    pool : BlockPool
        With all blocks free; the executor has the storage.
    executor : Executor
    clock : Clock
    on_record : callable
        Gets the record of each request when it ends, exactly once.
    limits : Limits, optional
    times : IterationTime, optional
        What the policy may believe about iterations.
    eos_token_ids : iterable of int
        Tokens that end a request unless it ignores them.
    on_iteration : callable, optional
        Gets each `Iteration`, after the records of the requests that it ended.
    on_token : callable, optional
        Gets each request, its new token and the time in seconds, before the record of a request that it ends.

    Notes
    -----
    Nothing of a request is kept once it has ended. Callbacks may add and abort requests. What they add while a run is
    being closed is unfinished at once, and from so many on (`MAX_LATE`) refused, so that closing ends.
    """

    def __init__(
        self,
        policy: Policy,
        pool: BlockPool,
        executor: Executor,
        clock: Clock,
        on_record: Callable[[RequestRecord], object],
        *,
        limits: Limits | None = None,
        times: IterationTime | None = None,
        eos_token_ids: Iterable[int] = (),
        on_iteration: Callable[[Iteration], object] | None = None,
        on_token: Callable[[Request, int, float], object] | None = None,
    ) -> None:
        self.policy, self.pool, self.executor, self.clock = policy, pool, executor, clock
        self.limits, self.times = limits or Limits(), times or IterationTime()
        self.on_record, self.on_iteration, self.on_token = on_record, on_iteration, on_token
        self._book = RequestBook(pool, self.limits, eos_token_ids, on_record)
        self._table = self._book.table
        self._certified = certifies_itself(policy)
        self._num_iterations = 0
        self._in_step, self._num_late = False, 0
        self._changes: list[Callable[[], None]] = []  # until the end of the step
        self._arrivals = Arrivals(())
        self._failure: BaseException | None = None  # of requests of the run that a callback has brought in
        self._closing: str | None = None  # why, while a run is being closed
        self._hold = interrupts.Hold()

    @property
    def num_unfinished(self) -> int:
        """Requests that wait or run."""
        return self._table.num_rows

    def add(self, request: Request) -> None:
        """A request that has arrived, behind those of a run that have; what can never be served is rejected at once.

        Raises
        ------
        InputError
            It arrived before one that was added before, or after the next one that the run has still to wait for; it
            has the number of an unfinished one, or has output. It has no record then.
        """
        if self._closing is not None:
            self._add_late(request, self._closing)
            return
        if (next_s := self._bring_in(min(request.arrived_at_s, self.clock.now_s()))) < request.arrived_at_s:
            raise InputError(
                f"arrived_at_s: {request.arrived_at_s} of request {request.request_id} is not accepted; up to "
                f"{next_s} is, when the next request of the run arrives"
            )
        self._book.add(request)
        self._book.hand_over()

    def _bring_in(self, until_s: float) -> float:
        """Adds those of the run that arrive up to then; what is wrong with them is the run's. Returns the next time."""
        try:
            self._admit(until_s)
            return self._arrivals.next_s
        except BaseException as error:
            self._failure = error
            return np.inf

    def _admit(self, until_s: float) -> None:
        for request in self._arrivals.until(until_s):
            self._book.add(request)

    def _add_late(self, request: Request, reason: str) -> None:
        if self._num_late == MAX_LATE:
            raise InputError(f"request_id: {request.request_id} is not accepted; none is once a run is over ({reason})")
        self._num_late += 1
        self._book.give_up(request, reason)
        self._book.hand_over()

    def abort(self, request_id: int) -> None:
        """Ends a request, at once or at the end of the step within which it is called; if it is not there, nothing."""
        self._at_rest(partial(self._book.abort, request_id))

    def close(self, reason: str) -> None:
        """Ends all requests that are there as unfinished, at once or at the end of the step."""
        self._at_rest(partial(self._book.close, reason))

    def _at_rest(self, change: Callable[[], None]) -> None:
        if self._in_step:
            self._changes.append(change)
        else:
            change()
            self._book.hand_over()

    def run(self, requests: Iterable[Request]) -> str:
        """Serves requests as they arrive by the clock, until all have ended.

        Whatever ends it (Ctrl-C, a plan that is not legal, an arrival out of order, what a callback or the iteration
        over the requests raises), every request has one record: those that did not end are unfinished. If nothing has
        run in `MAX_IDLE` decisions in a row since the last one arrived, the rest is unfinished too.

        Parameters
        ----------
        requests : iterable of Request
            In order of arrival; taken one by one.

        Returns
        -------
        str
            Why the rest is unfinished; empty where all have ended.

        Raises
        ------
        InputError
            A request as in `add`, or a plan that is not legal.
        KeyboardInterrupt
            Ctrl-C, with all records handed over.
        """
        with interrupts.held() as self._hold:
            self._arrivals, self._failure = Arrivals(requests), None
            error: BaseException | None = None
            try:
                reason = self._serve()
            except BaseException as raised:
                error = raised
                reason = INTERRUPTED if isinstance(error, KeyboardInterrupt) else described(error)
            self._closing, self._num_late = reason, 0
            late = self._book.close_all(self._arrivals, reason)
            self._closing = None
            if (error := error or late) is not None:
                raise error
        return reason

    def _serve(self) -> str:
        """Serves until nothing is left, or nothing can be done: then it returns why."""
        num_idle, arrivals = 0, self._arrivals
        while self._failure is not None or arrivals.next_s < np.inf or self.num_unfinished:
            if self._failure is not None:
                raise self._failure
            if arrivals.next_s <= (now_s := self.clock.now_s()):
                self._admit(now_s)
            if self.step():
                num_idle = 0
                continue
            wait_until_s = arrivals.next_s
            if self.num_unfinished:
                num_idle = num_idle + 1 if wait_until_s == np.inf else 0
                if num_idle == MAX_IDLE:
                    return f"nothing ran in {MAX_IDLE} decisions in a row"
                wait_until_s = min(wait_until_s, self.clock.now_s() + IDLE_S)
            if wait_until_s < np.inf:
                with self._hold:
                    self.clock.wait_until(wait_until_s)
        return ""

    def step(self) -> bool:
        """One iteration, if there is any request. Returns whether anything ran or was given up.

        Raises
        ------
        PlanError
            The plan is not legal; nothing has changed.
        """
        if not self.num_unfinished:
            self._book.hand_over()
            return False
        self._in_step = True
        try:
            iteration = self._iterate()
        finally:
            self._in_step = False
            self._book.remove_ended()
            for change in self._changes:
                change()
            self._changes.clear()
            self._book.hand_over()
        self._num_iterations += 1
        if self.on_iteration is not None:
            self.on_iteration(iteration)
        done = (iteration.num_seqs, iteration.num_promotions, iteration.num_rejections, iteration.num_swapped_blocks)
        return any(done)

    def _iterate(self) -> Iteration:
        started, start_s = perf_counter(), self.clock.now_s()
        view = observe(self._table, self.pool, start_s, self.limits.max_tokens, self.limits.max_seqs, self.times)
        with self._hold:
            plan = self.policy.decide(view)
        check_plan(plan, view)
        if not self._certified:
            check_certificate(plan, view)
        applied = self._apply(plan, view)
        planned = perf_counter()
        step = self._execute(applied)
        executed = perf_counter()
        modelled_s = self.clock.scheduling_s(len(view.request_id))
        self.clock.advance(step.duration_s + (modelled_s or 0.0))
        now_s = self.clock.now_s()
        iteration = iteration_of(self._num_iterations, plan, applied, self.pool, self._table, start_s, now_s)
        rows, requests, samples = applied.row, applied.batch.requests, applied.batch.samples
        token_ids = step.token_ids.tolist()
        if not all_of(samples):
            rows, sampled = rows[samples], samples.tolist()
            requests, token_ids = list(compress(requests, sampled)), list(compress(token_ids, sampled))
        over = self._book.add_tokens(rows, requests, token_ids, now_s)
        if len(over):
            self._book.end(over, map(self._book.end_of, over.tolist()))
        self._book.remove_ended()
        iteration.scheduling_s = planned - started + perf_counter() - executed if modelled_s is None else modelled_s
        if self.on_token is not None:
            for request, token_id in zip(requests, token_ids, strict=True):
                self.on_token(request, token_id, now_s)
        return iteration

    def _apply(self, plan: Plan, view: View) -> Applied:
        """Carries out the plan; rejected requests have their record, and keep their rows for now."""
        if len(plan.reject):
            numbers = [need(num_tokens, self.pool) for num_tokens in view.num_tokens[plan.reject].tolist()]
            self._book.end(plan.reject, [(Outcome.REJECTED, f"given up by the policy: {text}") for text in numbers])
        if len(plan.preempt):
            self._table.count_preemptions(plan.preempt, view.num_cached[plan.preempt])
        applied = self.pool.apply(plan, self._table)
        if len(applied.converted):
            self._table.num_promotions[applied.converted] += 1
        if len(applied.swapped_out):
            self._table.num_swap_outs[applied.swapped_out] += 1
        return applied

    def _execute(self, applied: Applied) -> Step:
        """Runs the batch. If it is broken off, what it wrote is not relied on: its requests are preempted."""
        touched = (applied.row, applied.converted, applied.swapped_out, applied.swapped_in)
        if not any(map(len, touched)):
            return Step(0.0, np.empty(0, np.int64))
        try:
            with self._hold:
                step = self.executor.run(applied.batch)
            assert step.token_ids.shape == applied.row.shape, f"{step.token_ids.shape} tokens for {len(applied.row)}"
        except BaseException:
            rows = np.unique(np.concatenate(touched))
            self._table.count_preemptions(rows, self.pool.num_cached[self._table.slot[rows]])
            self.pool.release(rows, self._table)
            raise
        return step
