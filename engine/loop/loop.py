"""The serving loop: a worker with a clock."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from aptsched.support.errors import InputError
from engine.loop.accounted import accounted
from engine.loop.arrivals import Arrivals
from engine.loop.clock import VirtualClock, WallClock
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.state.request import Request, check_request

IDLE_S = 0.01  # seconds until the policy is asked again after an iteration in which nothing ran
MAX_IDLE = 1000  # such decisions in a row, with no arrivals to come, until the rest is given up
STUCK = f"nothing ran in {MAX_IDLE} decisions in a row"  # the reason of requests that are unfinished then


class Loop:
    """Serves requests as they arrive, iteration by iteration.

    Parameters
    ----------
    worker : Worker

    Attributes
    ----------
    clock : WallClock or VirtualClock
        A wall clock if the worker's time is real, else a computed clock that starts at 0.

    Notes
    -----
    Callbacks of the worker have to add requests by this object, and abort them by the worker.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.clock = WallClock() if worker.scheduling is None else VirtualClock()
        self._arrivals = Arrivals(())
        self._reason = ""  # why the run was given up
        self._failure: BaseException | None = None  # an error of the run's requests, found while a callback added one

    def add(self, request: Request) -> None:
        """Adds a request that has arrived, after those of the run that have; rejects it if it can never be served.

        Raises
        ------
        InputError
            As `Worker.add`; or the request arrives later than the run's next one. It has no record then.
        """
        check_request(request)
        if self.worker.closing is None:
            next_s = self._bring_in(min(request.arrived_at_s, self.clock.now_s()))
            if next_s < request.arrived_at_s:
                raise InputError(
                    f"arrived_at_s: {request.arrived_at_s} of request {request.request_id} is not accepted; up to "
                    f"{next_s} is, when the next request of the run arrives"
                )
        self.worker.add(request)

    def _bring_in(self, until_s: float) -> float:
        """Adds the run's requests up to that time; their errors are kept for the run. Returns the next arrival."""
        try:
            self._admit(until_s)
            return self._arrivals.next_s
        except BaseException as error:
            self._failure = error
            return np.inf

    def _admit(self, until_s: float) -> None:
        """Adds the run's requests that arrive up to that time, without callbacks in between."""
        for request in self._arrivals.until(until_s):
            self.worker.book.add(request)

    def give_up(self, reason: str) -> None:
        """Ends the run when its iteration is over: the requests that are left are unfinished, for this reason."""
        self._reason = reason

    def run(self, requests: Iterable[Request]) -> str:
        """Serves requests as they arrive by the clock, until all have ended.

        Whatever ends it (Ctrl-C, a plan that is not legal, an arrival out of order, an error of a callback or of the
        iteration over the requests), every request has one record: those that did not end are unfinished. If nothing
        has run in `MAX_IDLE` decisions in a row since the last arrival, or a callback gives the run up, the remaining
        requests are unfinished too.

        The requests are taken one by one, in order of arrival. Returns why requests are unfinished, an empty text if
        all have ended; errors are raised once all records are handed over.
        """
        self._failure, self._reason = None, ""
        return accounted(self._serve, [self.worker], requests)

    def _serve(self, arrivals: Arrivals) -> str:
        """Serves until no request is left, or none can be served any more; returns the reason for that."""
        num_idle, self._arrivals = 0, arrivals
        while self._failure is not None or arrivals.next_s < np.inf or self.worker.num_unfinished:
            if self._failure is not None:
                raise self._failure
            if self._reason:
                return self._reason
            if arrivals.next_s <= (now_s := self.clock.now_s()):
                self._admit(now_s)
            iteration = self.step()
            if iteration is not None and not iteration.is_idle:
                num_idle = 0
                continue
            wait_until_s = arrivals.next_s
            if self.worker.num_unfinished:
                num_idle = num_idle + 1 if wait_until_s == np.inf else 0
                if num_idle == MAX_IDLE:
                    return STUCK
                wait_until_s = min(wait_until_s, self.clock.now_s() + IDLE_S)
            if wait_until_s < np.inf:
                with self.worker.hold:
                    self.clock.wait_until(wait_until_s)
        return ""

    def step(self) -> Iteration | None:
        """One iteration of the worker, as `Worker.step`, after which the clock is at its end."""
        worker, clock = self.worker, self.clock
        if not worker.num_unfinished:
            return worker.step(clock.now_s())
        clock.wait_until(worker.begin(clock.now_s(), self._arrivals))
        return worker.finish()
