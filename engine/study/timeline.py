"""The use of the memory over time, in a bounded number of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.support.checks import Floats

MAX_POINTS = 512  # an even number, as they are joined in pairs


@dataclass(frozen=True)
class TimelinePoint:
    """Means over consecutive iterations, weighted by their durations.

    Attributes
    ----------
    start_s, end_s : float
        From the start of the first to the end of the last.
    num_blocks_by_form : tuple of float, [f]
        Blocks held in each form.
    num_waiting : float
        Requests that wait without cache.
    """

    start_s: float
    end_s: float
    num_blocks_by_form: tuple[float, ...]
    num_waiting: float


def added_in_order(sums: list[float], amounts: Floats) -> list[float]:
    """Sums, [m], with further amounts of each, [m, k], added from the first to the last, as one by one."""
    table = np.empty((len(sums), amounts.shape[1] + 1))
    table[:, 0], table[:, 1:] = sums, amounts
    added: list[float] = np.add.accumulate(table, axis=1)[:, -1].tolist()
    return added


class Timeline:
    """Points over equally many iterations each; when there are too many points, neighbours are joined."""

    def __init__(self) -> None:
        self._stride, self._in_last = 1, 1
        self._spans: list[list[float]] = []  # start, end, busy seconds, request-s, block-s by form

    def add(self, start_s: float, duration_s: float, num_blocks_by_form: Sequence[int], num_waiting: int) -> None:
        """Add an iteration."""
        span = self._last(start_s, len(num_blocks_by_form))
        span[1] = start_s + duration_s
        span[2] += duration_s
        span[3] += duration_s * num_waiting
        for place, num_blocks in enumerate(num_blocks_by_form, 4):
            if num_blocks:
                span[place] += duration_s * num_blocks
        self._in_last += 1

    def add_many(self, start_s: Floats, amounts: Floats) -> None:
        """Add iterations in a row, [k], to the same sums as one by one.

        Of each, `amounts`, [2 + f, k], has its seconds, and these times the requests that wait and the blocks by form.
        """
        at = 0
        while at < len(start_s):
            span = self._last(start_s[at].item(), len(amounts) - 2)
            count = min(len(start_s) - at, self._stride - self._in_last)
            span[1] = (start_s[at + count - 1] + amounts[0, at + count - 1]).item()
            span[2:] = added_in_order(span[2:], amounts[:, at : at + count])
            self._in_last += count
            at += count

    def _last(self, start_s: float, num_forms: int) -> list[float]:
        """The point that the next iteration, which begins then, counts for."""
        if self._in_last == self._stride:
            if len(self._spans) == MAX_POINTS:
                self._join()
            self._spans.append([start_s, start_s, 0.0, 0.0, *[0.0] * num_forms])
            self._in_last = 0
        return self._spans[-1]

    def points(self) -> tuple[TimelinePoint, ...]:
        """The points in order; iterations that took no time have none."""
        return tuple(
            TimelinePoint(start, end, tuple(held / busy for held in block_s), waiting / busy)
            for start, end, busy, waiting, *block_s in self._spans
            if busy > 0
        )

    def _join(self) -> None:
        pairs = zip(self._spans[::2], self._spans[1::2], strict=True)
        self._spans = [[a[0], b[1], *map(sum, zip(a[2:], b[2:], strict=True))] for a, b in pairs]
        self._stride *= 2
        self._in_last = self._stride
