"""The requests of a simulation: so many of them, or all that arrive within a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from aptsched.errors import InputError
from aptsched.request import SLO
from aptsched.workload import read_trace
from aptsched.workload.synthetic import WORKLOADS
from engine.arrival_source import DEFAULT_RATE_PER_S, ArrivalSource, traces
from engine.replay import Replay, replay

DEFAULT_REQUESTS = 1000  # of a workload; of a trace all


def simulated_replays(
    source: ArrivalSource, rates_per_s: Sequence[float], slo: SLO, duration_s: float | None = None
) -> list[Replay]:
    """The requests at each rate, without tokens.

    Parameters
    ----------
    source : ArrivalSource
        Without a number of requests it is 1,000 of a workload, and all of a trace.
    rates_per_s : sequence of float
    slo : SLO
    duration_s : float, optional
        In place of a number: all requests that arrive earlier, of a trace those that it has.

    Raises
    ------
    InputError
        A bad trace or option, or no request arrives within the duration.
    """
    if duration_s is None:
        return _replays(_sized(source, DEFAULT_REQUESTS), rates_per_s, slo)
    if source.num_requests is not None:
        raise InputError("num_requests, duration: both are given; one of them is accepted")
    if not 0 < duration_s < math.inf:
        raise InputError(f"duration: {duration_s} is not accepted; a finite number of seconds above 0 is")
    known = WORKLOADS.get(source.workload or "")
    count = math.ceil(max(rates_per_s, default=known.rate_per_s if known else DEFAULT_RATE_PER_S) * duration_s) + 100
    found = _replays(_sized(source, count), rates_per_s, slo)
    while source.workload is not None and min(each.last_arrival_s for each in found) < duration_s:
        count *= 2
        found = _replays(_sized(source, count), rates_per_s, slo)
    return [window(each, duration_s) for each in found]


def _sized(source: ArrivalSource, default: int) -> ArrivalSource:
    if source.num_requests is not None:
        return source
    count = default if source.trace is None else len(read_trace(source.trace))
    return dataclasses.replace(source, num_requests=count)


def _replays(source: ArrivalSource, rates_per_s: Sequence[float], slo: SLO) -> list[Replay]:
    return [replay(trace, slo, rate, source.seed) for rate, trace in traces(source, rates_per_s)]


def window(given: Replay, duration_s: float) -> Replay:
    """The requests that arrive before that time.

    Raises
    ------
    InputError
        There are none.
    """
    count = int(np.searchsorted(given.arrived_at_s, duration_s))
    if count == 0:
        first_s = given.arrived_at_s[0]
        raise InputError(f"duration: {duration_s} is not accepted; the first request arrives at {first_s:g} s")
    columns = ("arrived_at_s", "num_prompt_tokens", "num_output_tokens")
    return dataclasses.replace(given, **{name: getattr(given, name)[:count] for name in columns})
