"""Progress of a run on stderr: a line for each policy and rate, under which the requests that ended are counted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aptsched.report.progress import Progress

if TYPE_CHECKING:
    from engine.study.replay import Replay


class RunProgress:
    """Writes as it is told; it is a `Watch`.

    Parameters
    ----------
    num_planned : int
        Runs.
    """

    def __init__(self, num_planned: int) -> None:
        self._num_planned, self._num_begun = num_planned, 0
        self._line: Progress | None = None

    def __call__(self, policy: str, replay: Replay, num_ended: int) -> None:
        """So many requests of this run have ended; 0 when it begins."""
        count = len(replay)
        if num_ended == 0:
            self.close()
            self._num_begun += 1
            which = f"run {self._num_begun} of {self._num_planned}"
            say_now(f"{policy}: {count} requests, which arrive over {replay.last_arrival_s:.3g} s ({which})")
            self._line = Progress(count, "requests ended")
        elif self._line is not None:
            self._line.tell(num_ended)

    def close(self) -> None:
        """Leaves nothing of the line that counts."""
        if self._line is not None:
            self._line.close()
            self._line = None


def say_now(text: str) -> None:
    """One line on stderr, now."""
    print(text, file=sys.stderr, flush=True)
