"""The end of a serving study: the runs that were served, those that failed, and those that Ctrl-C left out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aptsched.support import interrupts
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from engine.study.serving import FailedRun, ServedRun


@dataclass
class Study:
    """What came of the runs that were planned."""

    num_planned: int
    runs: list[ServedRun] = field(default_factory=list)
    failed: list[FailedRun] = field(default_factory=list)
    unwritten: list[InputError] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all were served to their end."""
        return self._num_done == self.num_planned

    @property
    def _num_done(self) -> int:
        return sum(run.complete for run in self.runs)

    def collect(self, results: Iterable[ServedRun | FailedRun]) -> None:
        """Takes runs as they come, until Ctrl-C."""
        from engine.study.serving import ServedRun

        with contextlib.suppress(KeyboardInterrupt):
            for result in results:
                if isinstance(result, ServedRun):
                    self.runs.append(result)
                else:
                    self.failed.append(result)

    def exit_code(self) -> int:
        """Of the command; what Ctrl-C left out is said on stderr.

        Raises
        ------
        InputError
            Runs failed, and why, or files could not be written; all others were served.
        """
        reasons = "; ".join(self._reasons())
        if self._num_done + len(self.failed) < self.num_planned:
            print(f"interrupted: {self._num_done} of {self.num_planned} runs were done", file=sys.stderr)
            if reasons:
                print(f"failed: {reasons}", file=sys.stderr)
            return interrupts.EXIT_CODE
        if reasons:
            others = f" ({self._num_done} of {self.num_planned} runs were served)" if self.num_planned > 1 else ""
            raise InputError(f"{reasons}{others}")
        return 0

    def _reasons(self) -> list[str]:
        """Why runs failed, and logs or results were not written, each once."""
        lost = [*(run.unwritten for run in self.runs), *map(str, self.unwritten)]
        return list(dict.fromkeys(filter(None, [*(run.reason for run in self.failed), *lost])))
