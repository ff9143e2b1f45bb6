"""Routers: choose the worker for an arriving request by what can be observed of the workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.loop.worker import Worker
from engine.state.request import Request


class Router(Protocol):
    """Chooses workers for requests, by what a server can know of both.

    It must not read `params.max_tokens` of a request: in a replay that is the true length of its output.
    """

    def route(self, request: Request, workers: Sequence[Worker]) -> Worker:
        """The worker for a request that has just arrived."""
        ...


def num_unfinished_tokens(worker: Worker) -> int:
    """Tokens of the unfinished requests, prompt and output so far."""
    return int(worker.table.num_tokens[: worker.num_unfinished].sum())


def num_queued_tokens(worker: Worker) -> int:
    """Tokens to be fed until each unfinished request has its next token, without those of an iteration under way."""
    slot = worker.table.slot[: worker.num_unfinished]
    return num_unfinished_tokens(worker) - int(worker.pool.num_cached[slot].sum())


class RoundRobin:
    """Each worker in turn. It remembers whose turn it is: make a new one for each run."""

    def __init__(self) -> None:
        self._num_routed = 0

    def route(self, request: Request, workers: Sequence[Worker]) -> Worker:
        """The worker after the one that the last request went to."""
        worker = workers[self._num_routed % len(workers)]
        self._num_routed += 1
        return worker


class LeastLoaded:
    """The worker whose unfinished requests have the fewest tokens, prompt and output so far."""

    def route(self, request: Request, workers: Sequence[Worker]) -> Worker:
        """The least loaded worker, the first of several."""
        return min(workers, key=num_unfinished_tokens)


class ShortestQueue:
    """The worker with the fewest tokens still to be fed; among equals, the one with the most free blocks."""

    def route(self, request: Request, workers: Sequence[Worker]) -> Worker:
        """The worker with the shortest queue, the first of several."""
        return min(workers, key=lambda worker: (num_queued_tokens(worker), -worker.pool.free_blocks))
