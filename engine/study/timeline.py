"""The use of the memory over time, in a bounded number of points."""

from __future__ import annotations

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
    scheduling_s : float
        Of an iteration, whatever its duration.
    gap : float, optional
        The largest certified gap of their decisions; None where none has a certificate.
    """

    start_s: float
    end_s: float
    num_blocks_by_form: tuple[float, ...]
    num_waiting: float
    scheduling_s: float
    gap: float | None


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
        self._spans: list[list[float]] = []  # start, end, request-s, busy s, scheduling s, block-s by form
        self._gaps: list[float | None] = []  # of each span

    def add_many(self, start_s: Floats, amounts: Floats) -> None:
        """Add iterations in a row, [k], to the same sums as one by one.

        Of each, `amounts`, [3 + f, k], has its seconds times the requests that wait, its seconds, those of scheduling,
        and its seconds times the blocks by form.
        """
        at = 0
        while at < len(start_s):
            span = self._last(start_s[at].item(), len(amounts) - 3)
            count = min(len(start_s) - at, self._stride - self._in_last)
            span[1] = (start_s[at + count - 1] + amounts[1, at + count - 1]).item()
            span[2:] = added_in_order(span[2:], amounts[:, at : at + count])
            self._in_last += count
            at += count

    def add_gap(self, number: int, gap: float, num_iterations: int) -> None:
        """Add the gap of a decision to the points of its iterations, which have been added, from that number on."""
        for place in range(number // self._stride, (number + num_iterations - 1) // self._stride + 1):
            self._gaps[place] = _larger(self._gaps[place], gap)

    def _last(self, start_s: float, num_forms: int) -> list[float]:
        """The point that the next iteration, which begins then, counts for."""
        if self._in_last == self._stride:
            if len(self._spans) == MAX_POINTS:
                self._join()
            self._spans.append([start_s, start_s, 0.0, 0.0, 0.0, *[0.0] * num_forms])
            self._gaps.append(None)
            self._in_last = 0
        return self._spans[-1]

    def points(self) -> tuple[TimelinePoint, ...]:
        """The points in order; iterations that took no time have none."""
        counts = [self._stride] * (len(self._spans) - 1) + [self._in_last]
        return tuple(
            TimelinePoint(start, end, tuple(held / busy for held in block_s), waiting / busy, scheduling / count, gap)
            for (start, end, waiting, busy, scheduling, *block_s), gap, count in zip(
                self._spans, self._gaps, counts, strict=False
            )
            if busy > 0
        )

    def _join(self) -> None:
        pairs = zip(self._spans[::2], self._spans[1::2], strict=True)
        self._spans = [[a[0], b[1], *map(sum, zip(a[2:], b[2:], strict=True))] for a, b in pairs]
        self._gaps = [_larger(*pair) for pair in zip(self._gaps[::2], self._gaps[1::2], strict=True)]
        self._stride *= 2
        self._in_last = self._stride


def _larger(one: float | None, other: float | None) -> float | None:
    """The larger of two gaps, either of which there may be none of."""
    return one if other is None else other if one is None else max(one, other)
