"""A worker: view, plan, pool, executor, record, at times that its caller gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from time import perf_counter
from weakref import ref

from aptsched.scheduling.certificate_check import certifies_itself, check_certificate
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan, Policy, decided, observer_of
from aptsched.scheduling.plan_check import check_plan
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import all_read
from aptsched.support import interrupts
from aptsched.support.errors import InputError
from engine.loop.arrivals import Arrivals
from engine.loop.carry_out import apply_plan, run_batch
from engine.loop.clock import SchedulingTime
from engine.loop.iteration import Iteration, iteration_of
from engine.loop.lifecycle import RequestBook
from engine.loop.limits import Limits
from engine.loop.observe import observe
from engine.state.batch import Executor, Step
from engine.state.pool import Applied, BlockPool
from engine.state.request import Request
from engine.state.request_table import RequestTable

MAX_LATE = 1000  # most requests that callbacks may add while a run is being closed

Skip = Callable[["Worker", float, Arrivals | None], Iteration | Plan]  # see `Worker`
Begun = tuple[Iteration, tuple[Applied, Step] | None]  # None where iterations were skipped


class Worker:
    """Requests, the pool that holds their cache, the policy that decides, and the executor that runs; without a clock.

    The owner of the clock adds requests as they arrive, and calls `step(now_s)` while there are any: this is an
    iteration, which ends at its `end_s`. If several workers share a clock, `begin(now_s)` decides and runs, and returns
    until when the worker is busy; `finish()`, called then, gives out the tokens. One thread at a time may use a worker.

    Parameters
    ----------
    policy : Policy
    pool : BlockPool
        It has to have all blocks free; the executor has the storage.
    executor : Executor
    on_record : callable
        Called once with the record of each request that ends, before the policy if that is an `Observer`.
    scheduling : SchedulingTime, optional
        The time of scheduling on a computed clock: an iteration lasts for that and the executor's duration. Without it
        time is real: an iteration lasts from the view until the executor is done.
    limits : Limits, optional
    times : IterationTime, optional
        The times that the policy predicts iterations with.
    eos_token_ids : iterable of int
        Tokens that end a request unless it ignores them.
    on_iteration : callable, optional
        Called with each `Iteration`, after the records of the requests that it ended.
    on_token : callable, optional
        Called with each request, its new token and the time in seconds, before the record if the token ends it.
    skip : Skip, optional
        Called with the worker, the time, and who arrives next, if that is known, in place of `planned`: returns a plan,
        or the last of the iterations that it has carried out, with those added that have arrived, and those ended that
        are over by then.

    Attributes
    ----------
    hold : Hold
        Lets Ctrl-C in while the policy decides and while the executor runs.
    is_busy : bool
        Whether an iteration is under way.
    num_iterations : int
        Iterations so far.
    closing : str or None
        The reason, while a run is being closed: requests added then are unfinished at once.

    Notes
    -----
    Nothing of a request is kept once it has ended. Callbacks may add and abort requests.
    """

    def __init__(
        self,
        policy: Policy,
        pool: BlockPool,
        executor: Executor,
        on_record: Callable[[RequestRecord], object],
        *,
        scheduling: SchedulingTime | None = None,
        limits: Limits | None = None,
        times: IterationTime | None = None,
        eos_token_ids: Iterable[int] = (),
        on_iteration: Callable[[Iteration], object] | None = None,
        on_token: Callable[[Request, int, float], object] | None = None,
        skip: Skip | None = None,
    ) -> None:
        self.policy, self.pool, self.executor, self.scheduling = policy, pool, executor, scheduling
        self.limits, self.times = limits or Limits(), times or IterationTime()
        self.on_iteration, self.on_token, self.skip = on_iteration, on_token, skip
        self.book = RequestBook(pool, self.limits, eos_token_ids, on_record, observer_of(policy))
        self.table = self.book.table
        self.hold = interrupts.Hold()
        self.closing: str | None = None
        self._certified = certifies_itself(policy)
        self.num_iterations = self._num_late = 0
        self.is_busy = False
        self._begun: Begun | None = None
        self._changes: list[Callable[[], None]] = []  # to be made when the iteration has ended

    @property
    def num_unfinished(self) -> int:
        """Requests that wait or run."""
        return self.table.num_rows

    def add(self, request: Request) -> None:
        """Adds a request that has arrived; rejects it at once if it can never be served.

        While a run is being closed it is unfinished at once; after `MAX_LATE` such requests further ones are refused,
        so that closing ends.

        Raises
        ------
        InputError
            The request arrived before one that was added earlier, has the number of an unfinished one, or has output
            already. It has no record then.
        """
        if self.closing is None:
            self.book.add(request)
        elif self._num_late < MAX_LATE:
            self._num_late += 1
            self.book.give_up(request, self.closing)
        else:
            over = f"none is once a run is over ({self.closing})"
            raise InputError(f"request_id: {request.request_id} is not accepted; {over}")
        if not self.is_busy:
            self.book.hand_over()

    def abort(self, request_id: int) -> None:
        """Aborts a request, at once or at the end of the iteration; does nothing if there is none of that number."""
        self._at_rest(partial(self.book.end_one, request_id, Outcome.ABORTED))

    def stop(self, request_id: int) -> None:
        """Ends a request as finished, for example by a stop string in its text; otherwise as `abort`."""
        self._at_rest(partial(self.book.end_one, request_id, Outcome.FINISHED))

    def close(self, reason: str) -> None:
        """Ends all present requests as unfinished, at once or at the end of the iteration."""
        self._at_rest(partial(self.book.close, reason))

    def start_closing(self, reason: str) -> None:
        """Ends all requests as unfinished, and also those added from now on, until `closing` is None again.

        An iteration that was begun is broken off: its tokens are not given out. No record is handed over yet.
        """
        self.closing, self._num_late, self._begun = reason, 0, None
        self._settle()
        self.book.close(reason)

    def step(self, now_s: float) -> Iteration | None:
        """Runs one iteration that begins now, and returns its record; None if there is no request.

        Raises
        ------
        PlanError
            The plan is not legal; nothing has changed.
        """
        if not self.num_unfinished:
            self.book.hand_over()
            return None
        self.begin(now_s)
        return self.finish()

    def begin(self, now_s: float, arrivals: Arrivals | None = None) -> float:
        """Decides and runs an iteration that begins now. Returns until when the worker is busy, in seconds.

        Where the caller says who arrives next, it may stand for many. Requests may be added meanwhile; aborts take
        effect at the end. Errors as in `step`.
        """
        assert not self.is_busy, "an iteration is finished before the next one begins"
        self.is_busy = True
        try:
            self._begun = self._decide_and_run(now_s, arrivals)
        except BaseException:
            self._settle()
            self.book.hand_over()
            raise
        return self._begun[0].end_s

    def finish(self) -> Iteration:
        """Gives out the tokens of the begun iteration, and the records of the requests that they end."""
        assert self._begun is not None, "an iteration is begun before it is finished"
        (iteration, ran), self._begun = self._begun, None
        try:
            if ran is not None:
                iteration = self._give_tokens(iteration, *ran)
        finally:
            self._settle()
            self.book.hand_over()
        self.num_iterations += 1
        if self.on_iteration is not None and ran is not None:
            self.on_iteration(iteration)
        return iteration

    def _at_rest(self, change: Callable[[], None]) -> None:
        if self.is_busy:
            self._changes.append(change)
        else:
            change()
            self.book.hand_over()

    def _settle(self) -> None:
        """Removes requests that have ended, and makes the changes that waited for the end of the iteration."""
        self.is_busy = False
        self.book.remove_ended()
        for change in self._changes:
            change()
        self._changes.clear()

    def planned(self, now_s: float, table: RequestTable | None = None, num_freed: int = 0) -> Plan:
        """A legal plan for the requests of a table, by default those present, with so many blocks more free.

        If somebody keeps the view beyond it, its columns are read to the last before any changes.
        """
        table, most = self.table if table is None else table, (self.limits.max_tokens, self.limits.max_seqs)
        view = self.limits.within_deadline(observe(table, self.pool, now_s, *most, self.times, num_freed))
        try:
            with self.hold:
                plan = decided(self.policy, view)
            check_plan(plan, view)
            if not self._certified:
                check_certificate(plan, view)
            return plan
        finally:
            kept = ref(view)
            del view
            if (of_others := kept()) is not None:
                all_read(of_others)

    def _decide_and_run(self, now_s: float, arrivals: Arrivals | None) -> Begun:
        started, num_requests = perf_counter(), self.num_unfinished
        plan = self.skip(self, now_s, arrivals) if self.skip else self.planned(now_s)
        if isinstance(plan, Iteration):
            return plan, None
        applied = apply_plan(plan, self.book)
        planned = perf_counter()
        step = run_batch(applied, self.executor, self.book, self.hold)
        if self.scheduling is None:
            scheduling_s, duration_s = planned - started, perf_counter() - started
        else:
            scheduling_s = self.scheduling.seconds(num_requests)
            duration_s = step.duration_s + scheduling_s
        times_s = (now_s, now_s + duration_s, scheduling_s)
        return iteration_of(self.num_iterations, plan, applied, self.pool, self.table, times_s), (applied, step)

    def _give_tokens(self, iteration: Iteration, applied: Applied, step: Step) -> Iteration:
        """Adds the tokens to their requests, and ends those that are over. Returns the completed record."""
        started = perf_counter()
        for entry, logprobs in step.logprobs.items():  # before the tokens, which other threads read first
            applied.batch.requests[entry].output_logprobs.append(logprobs)
        requests, token_ids = self.book.add_tokens(applied, step.token_ids.tolist(), iteration.end_s)
        if self.scheduling is None:
            scheduling_s = iteration.scheduling_s + perf_counter() - started
            iteration = replace(iteration, scheduling_s=scheduling_s)
        if self.on_token is not None:
            for request, token_id in zip(requests, token_ids, strict=True):
                self.on_token(request, token_id, iteration.end_s)
        return iteration
