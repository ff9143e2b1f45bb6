"""The tasks of a study on several CPU cores: each is done whole in one process."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from aptsched.support import beside, interrupts
from engine.study.replay import Replay
from engine.study.served_run import FailedRun, ServedRun
from engine.study.serving import NamedPolicy, Server, attempt

if TYPE_CHECKING:
    from engine.study.crew import JobProcess

Result = TypeVar("Result")
Made = TypeVar("Made", covariant=True)
POLL_S = 0.2  # between two checks of the progress of all


class StudyTask(Protocol[Made]):
    """A task for a process; it can be pickled, like its result."""

    @property
    def size(self) -> int:
        """What `attempt` counts up to."""
        ...

    def attempt(self, progress: Callable[[int], None]) -> tuple[Made | None, bool]:
        """The result in this process, if there is one, and whether Ctrl-C was pressed."""
        ...

    def failed(self, reason: str) -> Made:
        """The result for when the task's process has ended."""
        ...


@dataclass(frozen=True, eq=False)
class Task:
    """One policy on one replay, as a job that can be pickled."""

    policy: NamedPolicy
    replay: Replay
    server: Server
    certificates: str | os.PathLike[str] | None = None

    @property
    def size(self) -> int:
        """The number of its requests."""
        return len(self.replay)

    def attempt(self, progress: Callable[[int], None]) -> tuple[ServedRun | FailedRun | None, bool]:
        """Serve the run in this process; `progress` is told how many of its requests have ended."""

        def watch(policy: str, replay: Replay, num_ended: int) -> None:
            progress(num_ended)

        return attempt(self.policy, self.replay, self.server, self.certificates, watch)

    def failed(self, reason: str) -> FailedRun:
        """The failed run, for when its process has ended."""
        if self.certificates is not None:
            beside.remove_stale(Path(self.certificates).parent)
        return FailedRun(self.policy.name, self.replay.rate_per_s, f"policy {self.policy.name}: {reason}")


def results_of(tasks: Sequence[StudyTask[Result]], num_jobs: int, progress: Callable[[int], None]) -> Iterator[Result]:
    """The results in the order of the tasks, whatever the number of processes; after Ctrl-C those that were begun.

    Parameters
    ----------
    tasks : sequence of StudyTask
    num_jobs : int
        Most processes; with 1 all tasks are done in this process.
    progress : callable
        Told now and then how much of all tasks is done, by their own count.

    Notes
    -----
    A process that ends does not harm other tasks: its own has failed, and another process takes its place. All
    processes end with this one, however that ends.
    """
    if num_jobs == 1 or len(tasks) == 1:
        yield from _here(tasks, progress)
        return
    crew = _Crew(tasks, min(num_jobs, len(tasks)), progress)
    crew.serve()
    for number in sorted(crew.results):
        yield crew.results[number]
    if crew.error is not None:
        raise crew.error


def _here(tasks: Sequence[StudyTask[Result]], progress: Callable[[int], None]) -> Iterator[Result]:
    before = 0
    for task in tasks:

        def watch(num_ended: int, before: int = before) -> None:
            progress(before + num_ended)

        result, stopped = task.attempt(watch)
        if result is not None:
            yield result
        if stopped:
            return
        before += task.size


class _Crew(Generic[Result]):
    """Processes that do tasks, each one after the other."""

    def __init__(self, tasks: Sequence[StudyTask[Result]], num_processes: int, progress: Callable[[int], None]) -> None:
        self._tasks, self._num_processes, self._progress = tasks, num_processes, progress
        self._left = deque(range(len(tasks)))
        self._busy: dict[JobProcess, int] = {}  # to the number of its task
        self._idle: list[JobProcess] = []
        self._num_ended = [0] * len(tasks)
        self.results: dict[int, Result] = {}
        self.error: Exception | None = None  # of our own code, not of a policy

    def serve(self) -> None:
        """Do all tasks; after Ctrl-C only those under way, which are told to end soon.

        A second Ctrl-C ends it at once.
        """
        with contextlib.suppress(KeyboardInterrupt), interrupts.held() as hold:
            try:
                self._serve(hold)
            finally:
                for process in self._idle:
                    process.end(idle=True)
                for process in self._busy:
                    process.end(idle=False)

    def _serve(self, hold: interrupts.Hold) -> None:
        from multiprocessing.connection import wait

        stopped = False
        while self._left or self._busy:
            self._hand_out()
            try:
                with hold:
                    ready = wait([process.connection for process in self._busy], POLL_S)
            except KeyboardInterrupt:
                if stopped:
                    raise
                stopped = True
                self._left.clear()
                for process in self._busy:
                    process.interrupt()
                continue
            for process in [process for process in self._busy if process.connection in ready]:
                self._hear(process)
            self._progress(sum(self._num_ended))

    def _hand_out(self) -> None:
        from engine.study.crew import JobProcess

        while self._left and (self._idle or len(self._busy) < self._num_processes):
            process = self._idle.pop() if self._idle else JobProcess()
            number = self._left.popleft()
            self._busy[process] = number
            process.give(self._tasks[number])

    def _hear(self, process: JobProcess) -> None:
        number = self._busy[process]
        try:
            said = process.receive()
        except EOFError:
            del self._busy[process]
            self.results[number] = self._tasks[number].failed(f"its process {process.end(idle=False)}")
            return
        if isinstance(said, int):
            self._num_ended[number] = said
            return
        self._idle.append(process)
        del self._busy[process]
        if isinstance(said, Exception):
            self.error = self.error or said
        elif said[0] is not None:
            self.results[number] = said[0]
            self._num_ended[number] = self._tasks[number].size
