"""Notices about requests of a trace that several queues of a study have, or one queue has several times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from aptsched.workload import Trace
from aptsched.workload.backlogged import Queue


class Repeats:
    """Collects the queues of each size, and makes notices of how they repeat or continue the trace."""

    def __init__(self) -> None:
        self._repeating: dict[int, int] = {}
        self._shared: list[str] = []
        self._is_continued = self._is_one_moment = False

    def add(self, trace: Trace, queues: Sequence[Queue]) -> None:
        """Count the queues of one size, all of them at once."""
        n, total = len(queues[0].rows), len(trace)
        if n > total:
            self._repeating[n] = total
        num_queues = np.zeros(total, np.int64)
        for each in queues:
            num_queues[np.unique(each.rows)] += 1
        if num_queues.max() > 1:
            several, any_at_all = (int(np.count_nonzero(num_queues > least)) for least in (1, 0))
            self._shared.append(f"{several} of {any_at_all} rows at n = {n}")
        self._is_continued |= any(each.end_is_continued for each in queues)
        self._is_one_moment |= trace.arrived_at_s is not None and trace.arrived_at_s[0] == trace.arrived_at_s[-1]

    def notices(self, name: str) -> Iterator[str]:
        """The notices, one a line; `name` is the name of the trace."""
        if self._repeating:
            sizes, total = ", ".join(map(str, self._repeating)), next(iter(self._repeating.values()))
            yield f"Queues of {sizes} requests have rows of {name} several times: there are {total}."
        if self._shared:
            yield f"Queues share rows of {name}, so that they are not independent: {', '.join(self._shared)}."
        if self._is_one_moment:
            yield f"All requests of {name} arrive at the same time: an assumed gap later the queues are seen."
        elif self._is_continued:
            yield f"Queues that end with {name} are seen a mean gap after its last arrival."
