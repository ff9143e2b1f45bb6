"""Progress of runs on stderr: a line for each policy and rate, and below it a count of the requests that ended."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from aptsched.report.progress import Progress
from aptsched.support.plural import how_many

if TYPE_CHECKING:
    from engine.study.replay import Replay


class RunProgress:
    """Prints the progress that it is told; it is a `Watch`.

    Parameters
    ----------
    num_planned : int
        How many runs there will be.
    """

    def __init__(self, num_planned: int) -> None:
        self._num_planned, self._num_begun = num_planned, 0
        self._line: Progress | None = None

    def __call__(self, policy: str, replay: Replay, num_ended: int) -> None:
        """Print how many requests of this run have ended; 0 when it begins."""
        count = len(replay)
        if num_ended == 0:
            self.close()
            self._num_begun += 1
            which = f"run {self._num_begun} of {self._num_planned}"
            said = f"{how_many(count, 'request')}, arriving over {replay.last_arrival_s:.3g} s"
            say_now(f"{policy}: {said} ({which})")
            self._line = Progress(count, "requests ended")
        elif self._line is not None:
            self._line.tell(num_ended)

    def close(self) -> None:
        """Clear the line of the count."""
        if self._line is not None:
            self._line.close()
            self._line = None


def watching(num_runs: int) -> contextlib.closing[RunProgress]:
    """The progress of so many runs, whose line is cleared at the end."""
    return contextlib.closing(RunProgress(num_runs))


def say_now(text: str) -> None:
    """Print one line on stderr, and flush it."""
    print(text, file=sys.stderr, flush=True)
