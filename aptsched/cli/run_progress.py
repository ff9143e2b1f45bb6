"""Progress of a run on stderr: a line for each policy and rate, which on a terminal counts the requests that ended."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.replay import Replay

EVERY_S = 0.5


class RunProgress:
    """Writes as it is told; it is a `Watch`."""

    def __init__(self) -> None:
        self._counts, self._shown_s = sys.stderr.isatty(), 0.0
        self._is_open = False  # whether the line that counts has no end yet

    def __call__(self, policy: str, replay: Replay, num_ended: int) -> None:
        """So many requests of this run have ended; 0 when it begins."""
        count, now_s = len(replay), time.monotonic()
        if num_ended == 0:
            self.end()
            say(f"{policy}: {count} requests, which arrive over {replay.last_arrival_s:.3g} s")
        elif self._counts and (now_s - self._shown_s >= EVERY_S or num_ended == count):
            self._shown_s, self._is_open = now_s, num_ended < count
            end = "" if self._is_open else "\n"
            print(f"\r  {num_ended} of {count} ended", end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Ends the line that counts, where a run has not come to its end."""
        if self._is_open:
            self._is_open = False
            say("")


def say(text: str) -> None:
    """One line on stderr, now."""
    print(text, file=sys.stderr, flush=True)
