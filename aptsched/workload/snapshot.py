"""Snapshots of a backlogged queue, cut out of a trace: the instances on which methods are compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TypedDict, Unpack

import numpy as np

from aptsched.checks import Floats, Ints
from aptsched.problem import BatchProblem
from aptsched.workload import ranges
from aptsched.workload.arrivals import gamma_arrivals
from aptsched.workload.trace import Trace

BLOCK_SIZE = 16
RHO_S_PER_TOKEN = 17.0e-6  # rebuilding K and V of one cached token: OPT-13B on an A100-40GB at 79% of its fp16 peak
RATE_PER_S = 3.0
CV = 1.0


class SnapshotOptions(TypedDict, total=False):
    """The keywords of `snapshot`."""

    block_size: int
    rho_s_per_block: float | None
    hidden_ratio: Fraction | float | str
    rate_per_s: float
    cv: float
    max_tokens: int | None
    max_seqs: int | None


def snapshot(
    trace: Trace,
    num_requests: int,
    load: float,
    rng: np.random.Generator,
    *,
    block_size: int = BLOCK_SIZE,
    rho_s_per_block: float | None = None,
    hidden_ratio: Fraction | float | str = Fraction(1, 2),
    rate_per_s: float = RATE_PER_S,
    cv: float = CV,
    max_tokens: int | None = None,
    max_seqs: int | None = None,
) -> BatchProblem:
    """Cut one snapshot: consecutive requests of the trace, none of them served yet.

    A request with a prompt of s tokens needs m = ceil((s + 1) / block_size) blocks for its next token. It has been
    pending since it arrived, always more than 0 s:

    - Where the trace has arrivals, requests in a row from a random start wait until the first later arrival. A trace
      shorter than `num_requests` is repeated in time, a mean gap between its last arrival and its first; so is its end
      continued, where no later arrival is left. Without two different arrivals the gap is 1 / rate_per_s.
    - Where it has lengths alone, they are taken in a row from a random start, going on at the top; of a trace shorter
      than `num_requests` they are drawn with replacement. Arrivals are drawn (`gamma_arrivals`), and the queue is seen
      a mean gap after the last.

    Parameters
    ----------
    trace : Trace
    num_requests : int
        Requests in the queue, U = |W|, at least 1.
    load : float
        Free blocks over what the queue needs, from 1e-6 to 1e6: capacity M = floor(load * sum(m)), at least 1. It is
        taken as the decimal that it is written as.
    rng : numpy.random.Generator
        What is drawn does not depend on `load`: the same queue can be seen at several.
    block_size : int
        Tokens in a block.
    rho_s_per_block : float, optional
        Time to rebuild K and V of one block from hidden states, rho, in seconds, from 0 to 1e6; by default
        block_size * 17.0e-6, from first principles for OPT-13B on an A100 at 79% of its peak. The penalty of a hidden
        block is U * rho.
    hidden_ratio : Fraction
        As in `BatchProblem.hybrid`.
    rate_per_s, cv : float
        Arrivals of a trace that has none: 3 a second, near the most that Apt-Serve's OPT-13B baseline sustains on
        ShareGPT, and Poisson by default.
    max_tokens, max_seqs : int, optional
        Token budget (each request adds its whole prompt) and sequence limit.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.

    Source: Apt-Serve (SIGMOD 2025), section 4.2 and Definition 1.
    """
    num_requests = ranges.whole("num_requests", num_requests)
    block_size = ranges.whole("block_size", block_size)
    load = ranges.number("load", load, 1e-6, 1e6)
    rho = block_size * RHO_S_PER_TOKEN if rho_s_per_block is None else rho_s_per_block
    rho = ranges.number("rho_s_per_block", rho, 0, 1e6)
    mean_gap_s = 1 / ranges.number("rate_per_s", rate_per_s, 1e-6, 1e6)
    if trace.arrived_at_s is None:
        rows, pending = _drawn(len(trace), num_requests, rng, rate_per_s, cv)
    else:
        rows, pending = _cut(trace.arrived_at_s, num_requests, rng, mean_gap_s)
    prompts = trace.prompt_tokens[rows]
    blocks = -(-(prompts + 1) // block_size)
    return BatchProblem.hybrid(
        pending_s=pending,
        num_blocks=blocks,
        capacity=free_blocks(load, int(blocks.sum())),
        penalty_s_per_block=num_requests * rho,
        hidden_ratio=hidden_ratio,
        num_tokens=None if max_tokens is None else prompts,
        max_tokens=max_tokens,
        max_seqs=max_seqs,
    )


def free_blocks(load: float, num_needed: int) -> int:
    """Free blocks at a load, taken as the decimal that it is written as, of a queue that needs so many; at least 1."""
    return max(1, math.floor(Fraction(repr(load)) * num_needed))


def snapshots(
    trace: Trace,
    num_instances: int,
    num_requests: int,
    load: float,
    rng: np.random.Generator,
    **options: Unpack[SnapshotOptions],
) -> Iterator[BatchProblem]:
    """Cut `num_instances` snapshots, one after the other from the same generator.

    The first ones are the same however many are asked for. Parameters and errors are those of `snapshot`.
    """
    num_instances = ranges.whole("num_instances", num_instances)
    return (snapshot(trace, num_requests, load, rng, **options) for _ in range(num_instances))


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


def _cut(arrived: Floats, num_requests: int, rng: np.random.Generator, mean_gap_s: float) -> tuple[Ints, Floats]:
    """Rows in a row of a trace, repeated in time where it is too short, [n], and their pending times, [n]."""
    num_rows = len(arrived)
    span_s = float(arrived[-1] - arrived[0])
    period_s = span_s + (span_s / (num_rows - 1) if span_s > 0 else mean_gap_s)
    last_start = num_rows - num_requests if num_requests <= num_rows else num_rows - 1
    rounds, rows = np.divmod(int(rng.integers(last_start + 1)) + np.arange(num_requests), num_rows)
    times = arrived[rows] + rounds * period_s
    later = int(np.searchsorted(arrived, arrived[rows[-1]], side="right"))
    extra_rounds, row = divmod(later, num_rows)
    now = arrived[row] + (int(rounds[-1]) + extra_rounds) * period_s
    return rows, max(now, math.nextafter(times[-1], math.inf)) - times
