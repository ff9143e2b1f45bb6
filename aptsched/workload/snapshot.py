"""Snapshots of a backlogged queue, cut out of a trace: the instances on which methods are compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TypedDict, Unpack

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.workload import ranges
from aptsched.workload.backlogged import CV, RATE_PER_S, Queue, queue
from aptsched.workload.trace import Trace

BLOCK_SIZE = 16
RHO_S_PER_TOKEN = 17.0e-6  # rebuilding K and V of one cached token: OPT-13B on an A100-40GB at 79% of its fp16 peak


class ProblemOptions(TypedDict, total=False):
    """The keywords of `problem_of`."""

    block_size: int
    rho_s_per_block: float | None
    hidden_ratio: Fraction | float | str
    max_tokens: int | None
    max_seqs: int | None


class SnapshotOptions(ProblemOptions, total=False):
    """The keywords of `snapshot`."""

    rate_per_s: float
    cv: float


def snapshot(
    trace: Trace,
    num_requests: int,
    load: float,
    rng: np.random.Generator,
    *,
    rate_per_s: float = RATE_PER_S,
    cv: float = CV,
    **options: Unpack[ProblemOptions],
) -> BatchProblem:
    """Cut one snapshot: consecutive requests of the trace, none of them served yet.

    A request with a prompt of s tokens needs m = ceil((s + 1) / block_size) blocks for its next token. It has been
    pending since it arrived, always more than 0 s:

    - Where the trace has arrivals, requests in a row from a random start wait until the first later arrival. A trace
      shorter than `num_requests` is repeated in time, a mean gap between its last arrival and its first; it is
      also continued where no later arrival is left. Without two different arrivals the gap is 1 / rate_per_s.
    - Where it has lengths alone, consecutive ones are taken from a random start, continuing at the top after the last;
      from a trace shorter than `num_requests` they are drawn with replacement. Arrivals are drawn (`gamma_arrivals`),
      and the queue is seen a mean gap after the last.

    Parameters
    ----------
    trace : Trace
    num_requests : int
        Requests in the queue, U = |W|, at least 1.
    load : float
    rng : numpy.random.Generator
        The draws do not depend on `load`: the same queue can be seen at several loads.
    rate_per_s, cv : float
        Arrivals of a trace that has none: 3 a second, near the most that Apt-Serve's OPT-13B baseline sustains on
        ShareGPT, and Poisson by default.
    **options
        The other parameters of `problem_of`.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.

    Source: Apt-Serve (SIGMOD 2025), section 4.2 and Definition 1.
    """
    return problem_of(queue(trace, num_requests, rng, rate_per_s, cv), load, **options)


def problem_of(
    queue: Queue,
    load: float,
    *,
    block_size: int = BLOCK_SIZE,
    rho_s_per_block: float | None = None,
    hidden_ratio: Fraction | float | str = Fraction(1, 2),
    max_tokens: int | None = None,
    max_seqs: int | None = None,
) -> BatchProblem:
    """The problem of which requests of a queue to serve.

    Parameters
    ----------
    queue : Queue
    load : float
        Free blocks over what the queue needs, from 1e-6 to 1e6: capacity M = floor(load * sum(m)), at least 1. It is
        taken as the decimal that it is written as.
    block_size : int
        Tokens in a block.
    rho_s_per_block : float, optional
        Time to rebuild K and V of one block from hidden states, rho, in seconds, from 0 to 1e6; by default
        block_size * 17.0e-6, from first principles for OPT-13B on an A100 at 79% of its peak. The penalty of a hidden
        block is U * rho.
    hidden_ratio : Fraction
        As in `BatchProblem.hybrid`.
    max_tokens, max_seqs : int, optional
        Token budget (each request adds its whole prompt) and sequence limit.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.
    """
    block_size = ranges.whole("block_size", block_size)
    load = ranges.number("load", load, 1e-6, 1e6)
    rho = block_size * RHO_S_PER_TOKEN if rho_s_per_block is None else rho_s_per_block
    rho = ranges.number("rho_s_per_block", rho, 0, 1e6)
    blocks = -(-(queue.prompt_tokens + 1) // block_size)
    return BatchProblem.hybrid(
        pending_s=queue.pending_s,
        num_blocks=blocks,
        capacity=free_blocks(load, int(blocks.sum())),
        penalty_s_per_block=len(blocks) * rho,
        hidden_ratio=hidden_ratio,
        num_tokens=None if max_tokens is None else queue.prompt_tokens,
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
