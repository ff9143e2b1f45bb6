"""Several onlookers of one session."""

from __future__ import annotations

from aptsched.scheduling.record import RequestRecord
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.session.onlooker import Onlooker


class Onlookers(Onlooker):
    """Tells all of them, in order."""

    def __init__(self, *each: Onlooker) -> None:
        self._each = each

    def on_iteration(self, iteration: Iteration, worker: Worker) -> None:
        """Tell of an iteration."""
        for one in self._each:
            one.on_iteration(iteration, worker)

    def on_rest(self, worker: Worker) -> None:
        """Tell that nothing is left."""
        for one in self._each:
            one.on_rest(worker)

    def on_record(self, record: RequestRecord) -> None:
        """Tell of a request that has ended."""
        for one in self._each:
            one.on_record(record)
