"""When a run that is to attain a level is given up, as it cannot any more."""

from __future__ import annotations

from aptsched.metrics.latencies import latencies
from aptsched.scheduling.record import RequestRecord
from engine.capacities.setting import Setting
from engine.study.replay import Replay

BELOW = 0.1  # of the requests: who misses a level by less is served to the end, so that the share is known
AT_ONCE = 32  # records that are looked at together


class GiveUp:
    """Says of each record whether so many requests have missed that the level is out of reach, by `BELOW` or more.

    Parameters
    ----------
    replay : Replay
    setting : Setting
    level : float
        The lowest that is sought.
    """

    def __init__(self, replay: Replay, setting: Setting, level: float) -> None:
        self._replay, self._setting = replay, setting
        num_counted = int((replay.arrived_at_s >= replay.warmup_s).sum())
        self._most = (1 - level + BELOW) * num_counted
        self._num_missed = 0
        self._new: list[RequestRecord] = []

    def __call__(self, record: RequestRecord) -> bool:
        """Take note of a request that has ended."""
        if record.arrived_at_s >= self._replay.warmup_s:
            self._new.append(record)
        if len(self._new) == AT_ONCE:
            each = latencies(self._new)
            attained = each.attained_p99_tbt if self._setting.by_p99 else each.attained
            self._num_missed += AT_ONCE - int(attained.sum())
            self._new = []
        return self._num_missed > self._most
