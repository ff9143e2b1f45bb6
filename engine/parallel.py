"""Runs of the serving study on several CPU cores: each run is served whole in one process."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from engine.replay import Replay
from engine.serving import NamedPolicy, ServedRun, Server, serve

POLL_S = 0.2
_ended: Any = None  # of a worker: how many requests of each task have ended; the last place is 1 once all is to stop


@dataclass(frozen=True, eq=False)
class Task:
    """One policy on one replay; all of it can be pickled."""

    policy: NamedPolicy
    replay: Replay
    server: Server
    certificates: str | os.PathLike[str] | None = None


def serve_tasks(
    tasks: Sequence[Task], num_jobs: int, progress: Callable[[int], None] = lambda num_ended: None
) -> Iterator[ServedRun]:
    """The runs in the order of the tasks, whatever the number of processes; after Ctrl-C those that are there.

    Parameters
    ----------
    tasks : sequence of Task
    num_jobs : int
        Most processes; 1 serves in this one.
    progress : callable
        Told now and then how many requests of all tasks have ended.
    """
    if num_jobs == 1 or len(tasks) == 1:
        yield from _here(tasks, progress)
        return
    context = multiprocessing.get_context("spawn")
    ended = context.Array("q", len(tasks) + 1, lock=False)
    with ProcessPoolExecutor(min(num_jobs, len(tasks)), context, _begin, (ended,)) as pool:
        futures = [pool.submit(_there, i, task) for i, task in enumerate(tasks)]
        try:
            _wait(futures, lambda: progress(sum(ended[:-1])))
        except KeyboardInterrupt:
            ended[-1] = 1
            pool.shutdown(cancel_futures=True)
        for future in futures:
            if not future.cancelled():
                yield future.result()


def _here(tasks: Sequence[Task], progress: Callable[[int], None]) -> Iterator[ServedRun]:
    before = 0
    for task in tasks:

        def watch(policy: str, replay: Replay, num_ended: int, before: int = before) -> None:
            progress(before + num_ended)

        run = serve(task.policy, task.replay, task.server, task.certificates, watch)
        yield run
        if not run.complete:
            return
        before += len(task.replay)


def _wait(futures: Sequence[Future[ServedRun]], poll: Callable[[], None]) -> None:
    left = set(futures)
    while left:
        done, left = wait(left, POLL_S, "FIRST_EXCEPTION")
        poll()
        for future in done:
            if future.exception() is not None:
                for other in left:
                    other.cancel()
                future.result()


def _begin(ended: Any) -> None:
    """Ctrl-C is for the process that has begun this one."""
    import signal

    global _ended
    _ended = ended
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _there(number: int, task: Task) -> ServedRun:
    stopping = False

    def watch(policy: str, replay: Replay, num_ended: int) -> None:
        nonlocal stopping
        _ended[number] = num_ended
        if num_ended and _ended[-1] and not stopping:
            stopping = True
            raise KeyboardInterrupt

    return serve(task.policy, task.replay, task.server, task.certificates, watch)
