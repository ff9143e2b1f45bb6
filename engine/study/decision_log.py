"""The log of a run's decisions, written while it runs; if the log can no longer be written, the run goes on."""

from __future__ import annotations

import os
from contextlib import ExitStack
from types import TracebackType

from aptsched.problem import certificate_log
from aptsched.support import files
from aptsched.support.errors import InputError
from engine.loop.iteration import Iteration


class DecisionLog:
    """Writes a header and a line for each decision that has a certificate; without any there is no file.

    Parameters
    ----------
    path : path, optional
        Without a path nothing is written.

    Attributes
    ----------
    fault : str
        Why there is no file, if it could not be written to its end, for example as a disk became full; else empty.

    Raises
    ------
    InputError
        The path cannot be written to from the beginning.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.fault = ""
        self._file, self._header = ExitStack(), certificate_log.as_line(certificate_log.HEADER)
        self._write = None if path is None else self._file.enter_context(files.growing(path))

    @property
    def is_empty(self) -> bool:
        """Whether no decision had a certificate, or none could be written."""
        return bool(self._header)

    def __enter__(self) -> DecisionLog:
        return self

    def __call__(self, iteration: Iteration) -> None:
        """Write the decision of an iteration."""
        if self._write is None or iteration.problem is None or iteration.selection is None:
            return
        record = certificate_log.as_record(iteration.number, iteration.problem, iteration.selection)
        try:
            self._write(self._header + certificate_log.as_line(record))
            self._header = ""
        except InputError as error:
            self._write, self.fault = None, str(error)
            self._file.__exit__(type(error), error, error.__traceback__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the file its name; after an error there is no file."""
        try:
            self._file.__exit__(kind, error, traceback)
        except InputError as unwritten:
            self.fault = self.fault or str(unwritten)
