"""Who is told of what a session does."""

from __future__ import annotations

from aptsched.scheduling.record import RequestRecord
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker


class Onlooker:
    """Is told of iterations and of requests that end, by the thread that runs the worker; this one does nothing."""

    def on_iteration(self, iteration: Iteration, worker: Worker) -> None:
        """Take note of an iteration; requests that it ended have left the worker, and their records came before."""

    def on_rest(self, worker: Worker) -> None:
        """Take note that the worker has no request left, whatever ended the last one: an abort is no iteration."""

    def on_record(self, record: RequestRecord) -> None:
        """Take note of a request that has ended; who waits for it is told after that."""
