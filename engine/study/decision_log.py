"""The log of a run's decisions, written while it runs; if the log can no longer be written, the run goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from aptsched.problem import certificate_log
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from aptsched.support import files
from aptsched.support.errors import InputError
from engine.loop.iteration import Iteration
from engine.simulator.stretch import Stretch

OnDecision = Callable[[int, float, int], object]
MAX_DUE = 64  # decisions that are written together, which takes half the time of writing them one by one


class DecisionLog:
    """Writes a header and a line for each decision that has a certificate; without any there is no file.

    Parameters
    ----------
    path : path, optional
        Without a path nothing is written.
    on_decision : callable, optional
        Called with each certified decision: the number of its first iteration, its gap, and how many it was for.

    Attributes
    ----------
    fault : str
        Why there is no file, if it could not be written to its end, for example as a disk became full; else empty.

    Raises
    ------
    InputError
        The path cannot be written to from the beginning.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, on_decision: OnDecision = lambda number, gap, num_iterations: None
    ) -> None:
        self.fault, self._on_decision = "", on_decision
        self._stretch: tuple[Iteration, int] | None = None  # not yet written: its first iteration, and how many
        self._file, self._header = ExitStack(), certificate_log.as_line(certificate_log.HEADER)
        self._write = None if path is None else self._file.enter_context(files.growing(path))
        self._due = list[tuple[int, BatchProblem, Selection, int]]()  # to be written

    @property
    def is_empty(self) -> bool:
        """Whether no decision had a certificate, or none could be written."""
        return bool(self._header)

    def __enter__(self) -> DecisionLog:
        return self

    def __call__(self, iteration: Iteration) -> None:
        """Take note of the decision of an iteration; one more of a stretch counts with that."""
        first, count = self._stretch or (iteration, 0)
        if first.problem is iteration.problem:
            self._stretch = None
            self._add(first, count + 1)
        else:
            self._end_stretch()
            self._add(iteration, 1)

    def add_stretch(self, stretch: Stretch) -> None:
        """Keep the decision of a stretch until the iteration after it, which may count with it."""
        self._end_stretch()
        self._stretch = (stretch.first, len(stretch))

    def _end_stretch(self) -> None:
        """Take note of the decision of a stretch that no iteration counts with any more."""
        if self._stretch is not None:
            (first, count), self._stretch = self._stretch, None
            self._add(first, count)

    def _add(self, first: Iteration, num_iterations: int) -> None:
        """Take note of the decision of so many iterations in a row, if it has a certificate."""
        if first.problem is None or first.selection is None:
            return
        self._on_decision(first.number, first.selection.gap, num_iterations)
        if self._write is not None:
            self._due.append((first.number, first.problem, first.selection, num_iterations))
            if len(self._due) == MAX_DUE:
                self._write_down()

    def _write_down(self) -> None:
        """Write the decisions that are due."""
        due, self._due = self._due, []
        if self._write is None or not due:
            return
        try:
            self._write("".join([self._header, *(certificate_log.record_line(*each) for each in due)]))
            self._header = ""
        except InputError as error:
            self._write, self.fault = None, str(error)
            self._file.__exit__(type(error), error, error.__traceback__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the file its name; after an error there is no file."""
        if kind is None:
            self._end_stretch()
            self._write_down()
        try:
            self._file.__exit__(kind, error, traceback)
        except InputError as unwritten:
            self.fault = self.fault or str(unwritten)
