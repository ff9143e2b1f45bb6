"""Several workers on one computed clock, driven by two kinds of events: a request arrives, a worker is ready."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from aptsched.support.errors import InputError
from aptsched.support.several import each_of
from engine.cluster.router import Router
from engine.loop.accounted import accounted
from engine.loop.arrivals import Arrivals
from engine.loop.loop import IDLE_S, MAX_IDLE, STUCK
from engine.loop.worker import Worker
from engine.state.request import Request, check_request


@dataclass(eq=False)
class _Turn:
    """A worker, and the time of its next event.

    Attributes
    ----------
    number : int
        Number of the worker, from 0 on.
    worker : Worker
    due_s : float
        When its iteration ends or, if nothing ran, its policy is asked again; infinite if it waits for requests.
    is_woken : bool
        Whether a request has come since its last decision.
    num_idle : int
        Decisions in a row in which nothing ran, since the last request arrived.
    """

    number: int
    worker: Worker
    due_s: float = math.inf
    is_woken: bool = False
    num_idle: int = 0


class Cluster:
    """Workers on one computed clock, which starts at 0; a router sends each request to one of them as it arrives.

    The earliest event comes first. At equal times, iterations end first, then requests arrive, then ready workers
    decide, each in the order of the workers; so equal requests give equal records. With one worker the records are
    those of `Loop`.

    Parameters
    ----------
    workers : sequence of Worker
        Each once, on computed time, with its own executor and pool, and its own policy object if that remembers
        anything.
    router : Router

    Attributes
    ----------
    now_s : float
        The time.

    Raises
    ------
    InputError
        There is no worker, one is given twice, or one has real time; or what is given is no worker or no router.
    """

    def __init__(self, workers: Sequence[Worker], router: Router) -> None:
        self.workers, self.router, self.now_s = each_of("workers", workers), router, 0.0
        for worker in self.workers:
            if not isinstance(worker, Worker):
                raise InputError(f"workers: {type(worker).__name__} is not accepted; each is a Worker")
        if isinstance(router, type) or not callable(getattr(router, "route", None)):
            given = f"the class {router.__name__}" if isinstance(router, type) else type(router).__name__
            raise InputError(f"router: {given} is not accepted; an object with the method `route` is")
        if not self.workers or len(set(self.workers)) < len(self.workers):
            given = "one is there twice" if self.workers else "none is there"
            raise InputError(f"workers: {given}; at least one, and each once, is accepted")
        if any(worker.scheduling is None for worker in self.workers):
            accepted = "on the computed clock of a cluster each has one, such as SchedulingTime()"
            raise InputError(f"workers: scheduling=None of one would be timed by a real clock; {accepted}")
        self._turns = {worker: _Turn(number, worker) for number, worker in enumerate(self.workers)}
        self._events: list[tuple[float, int]] = []  # a heap; an entry is out of date if its turn is due at another time
        self._ready: set[Worker] = set()  # workers that are to decide now

    def run(self, requests: Iterable[Request]) -> str:
        """Serves requests as they arrive, until all have ended, as `Loop.run`: each has one record, from its worker.

        Requests not routed when the run is broken off get their records from the first worker. A worker on which
        nothing has run in `MAX_IDLE` decisions in a row is not asked any more; the others go on.

        Parameters
        ----------
        requests : iterable of Request
            In order of arrival; taken one by one.

        Returns
        -------
        str
            Why requests are unfinished; empty if all have ended.

        Raises
        ------
        InputError
            A request is refused as in `Worker.add`, a plan is not legal, or the router returns something that is no
            worker of the cluster.
        KeyboardInterrupt
            On Ctrl-C, after all records are handed over.
        """
        try:
            return accounted(self._serve, self.workers, requests)
        finally:
            self._events.clear()
            for turn in self._turns.values():
                turn.due_s, turn.num_idle = math.inf, 0

    def add(self, request: Request) -> None:
        """Adds a request from a callback, which has arrived by now; it is routed, or unfinished while a run is closing.

        Raises
        ------
        InputError
            As in `run`; or the request arrives later than now. It has no record then.
        """
        check_request(request)
        if request.arrived_at_s > self.now_s:
            accepted = f"up to {self.now_s}, the time of the cluster, is"
            raise InputError(
                f"arrived_at_s: {request.arrived_at_s} of request {request.request_id} is not accepted; {accepted}"
            )
        if self.workers[0].closing is None:
            self._route(request)
        else:
            self.workers[0].add(request)

    def _serve(self, arrivals: Arrivals) -> str:
        """Handles event after event; returns why requests are left when there is none any more."""
        while (next_s := self._next_s(arrivals)) < math.inf:
            self.now_s = max(self.now_s, next_s)
            for turn in self._due():
                if turn.worker.is_busy:
                    self._finish(turn, arrivals)
                else:
                    self._ready.add(turn.worker)
            for request in arrivals.until(self.now_s):
                self._route(request)
            ready, self._ready = self._ready, set()
            for worker in sorted(ready, key=lambda worker: self._turns[worker].number):
                self._begin(worker)
        return STUCK if any(worker.num_unfinished for worker in self.workers) else ""

    def _next_s(self, arrivals: Arrivals) -> float:
        if self._ready:  # a callback has just added a request
            return self.now_s
        return min(arrivals.next_s, self._events[0][0] if self._events else math.inf)

    def _due(self) -> list[_Turn]:
        """Removes and returns the turns that are due now."""
        turns = tuple(self._turns.values())
        due = []
        while self._events and self._events[0][0] <= self.now_s:
            due_s, number = heappop(self._events)
            if turns[number].due_s == due_s:
                turns[number].due_s = math.inf
                due.append(turns[number])
        return due

    def _wait(self, turn: _Turn, due_s: float) -> None:
        turn.due_s = due_s
        heappush(self._events, (due_s, turn.number))

    def _route(self, request: Request) -> None:
        """Adds a request to the worker that the router chooses; if that is idle, it decides anew."""
        worker = self.workers[0]
        with worker.hold:
            worker = self.router.route(request, self.workers)
        if not any(worker is known for known in self.workers):
            raise InputError(f"router: {type(worker).__name__} is not accepted; one of the workers is")
        for other in self.workers:
            if request.request_id in other.table.numbers:
                worker = other  # so that it refuses the number, which has to be unique
        worker.add(request)
        self._turns[worker].is_woken = True
        if not worker.is_busy:
            self._ready.add(worker)

    def _begin(self, worker: Worker) -> None:
        """Begins an iteration of a worker, if it has any request."""
        if worker.num_unfinished and not worker.is_busy:
            turn = self._turns[worker]
            turn.is_woken = False
            self._wait(turn, worker.begin(self.now_s))

    def _finish(self, turn: _Turn, arrivals: Arrivals) -> None:
        """Ends a worker's iteration; it decides anew at once or, if nothing ran, after a while."""
        iteration = turn.worker.finish()
        if turn.is_woken or not iteration.is_idle:
            turn.num_idle = 0
            self._ready.add(turn.worker)
        elif turn.worker.num_unfinished:
            turn.num_idle = turn.num_idle + 1 if arrivals.next_s == math.inf else 0
            if turn.num_idle < MAX_IDLE:
                self._wait(turn, self.now_s + IDLE_S)
