"""A backlogged queue, cut out of a trace: which rows of the trace wait, and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.workload import ranges
from aptsched.workload.arrivals import gamma_arrivals
from aptsched.workload.trace import Trace

RATE_PER_S = 3.0
CV = 1.0


@dataclass(frozen=True, eq=False)
class Queue:
    """A queue that was cut out of a trace.

    Attributes
    ----------
    rows : int array, [n]
        Rows of the trace in order of arrival; some come several times where the trace is shorter than the queue.
    prompt_tokens : int array, [n]
    pending_s : float array, [n]
        Seconds since each arrived, above 0.
    end_is_continued : bool
        Whether the trace has no later arrival that ends the wait, so that it had to be continued.
    """

    rows: Ints
    prompt_tokens: Ints
    pending_s: Floats
    end_is_continued: bool


def queue(trace: Trace, num_requests: int, rng: np.random.Generator, rate_per_s: float, cv: float) -> Queue:
    """Cut a queue of consecutive requests, as `snapshot` describes it.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.
    """
    num_requests = ranges.whole("num_requests", num_requests)
    mean_gap_s = 1 / ranges.number("rate_per_s", rate_per_s, 1e-6, 1e6)
    if trace.arrived_at_s is None:
        rows, pending_s = _drawn(len(trace), num_requests, rng, rate_per_s, cv)
        return Queue(rows, trace.prompt_tokens[rows], pending_s, False)
    rows, pending_s, end_is_continued = _cut(trace.arrived_at_s, num_requests, rng, mean_gap_s)
    return Queue(rows, trace.prompt_tokens[rows], pending_s, end_is_continued)


def _drawn(
    num_rows: int, num_requests: int, rng: np.random.Generator, rate_per_s: float, cv: float
) -> tuple[Ints, Floats]:
    """Rows of a trace without arrivals, [n], and their pending times, [n]."""
    if num_requests <= num_rows:
        rows = (int(rng.integers(num_rows)) + np.arange(num_requests)) % num_rows
    else:
        rows = rng.integers(num_rows, size=num_requests)
    arrived = gamma_arrivals(num_requests, rate_per_s, cv, rng)
    return rows, arrived[-1] - arrived + 1 / rate_per_s


def _cut(arrived: Floats, num_requests: int, rng: np.random.Generator, mean_gap_s: float) -> tuple[Ints, Floats, bool]:
    """Consecutive rows of a trace, repeated in time where it is too short, [n], and their pending times, [n].

    Also whether the trace had to be continued for a moment at which the queue is seen.
    """
    num_rows = len(arrived)
    span_s = float(arrived[-1] - arrived[0])
    period_s = span_s + (span_s / (num_rows - 1) if span_s > 0 else mean_gap_s)
    last_start = num_rows - num_requests if num_requests <= num_rows else num_rows - 1
    rounds, rows = np.divmod(int(rng.integers(last_start + 1)) + np.arange(num_requests), num_rows)
    times = arrived[rows] + rounds * period_s
    later = int(np.searchsorted(arrived, arrived[rows[-1]], side="right"))
    extra_rounds, row = divmod(later, num_rows)
    now = arrived[row] + (int(rounds[-1]) + extra_rounds) * period_s
    return rows, max(now, math.nextafter(times[-1], math.inf)) - times, extra_rounds > 0
