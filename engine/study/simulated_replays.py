"""The requests of a simulation: so many of them, or all that arrive within a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from aptsched.scheduling.record import SLO
from aptsched.support import checks
from aptsched.support.errors import InputError
from aptsched.support.plural import how_many
from aptsched.workload import Trace
from aptsched.workload.jitter import jittered
from aptsched.workload.synthetic import DEFAULT_RATE_PER_S, WORKLOADS
from engine.study.arrival_source import (
    JITTER,
    MAX_REQUESTS,
    ArrivalSource,
    checked_rates,
    drawn_out,
    generated,
    read_source,
    traces,
    with_drawn_arrivals,
)
from engine.study.replay import Replay, replay

DEFAULT_REQUESTS = 1000  # of a workload; of a trace all are served
FEWEST_DRAWN = 2**16  # requests of a workload for a duration, of which those that arrive in time are served
AtRates = list[tuple[float, Trace]]


def simulated_replays(
    source: ArrivalSource, rates_per_s: Sequence[float], slo: SLO, duration_s: float | None = None
) -> list[Replay]:
    """The requests at each rate, without tokens.

    Parameters
    ----------
    source : ArrivalSource
        If it has no number of requests, 1,000 of a workload or all of a trace are served.
    rates_per_s : sequence of float
    slo : SLO
    duration_s : float, optional
        Serve all requests that arrive earlier, in place of a number. If a file with arrivals ends before, a notice
        says so; the lengths of a file without arrivals are repeated.

    Raises
    ------
    InputError
        A bad trace or option, or no request arrives within the duration.
    """
    rates_per_s = checked_rates(rates_per_s)
    if duration_s is None:
        found = list(traces(source, rates_per_s, DEFAULT_REQUESTS if source.workload is not None else None))
    else:
        found = _of_duration(source, rates_per_s, duration_s)
    if source.jitter:
        found = [(rate, jittered(trace, source.jitter, _jitter_rng(source))) for rate, trace in found]
    replays = [replay(trace, slo, rate, source.seed, **source.clip) for rate, trace in found]
    notices = max(replays, key=len).notices  # the longest has all requests of the others
    return [dataclasses.replace(each, notices=notices) for each in replays]


def _jitter_rng(source: ArrivalSource) -> np.random.Generator:
    """The seed's stream for jitter, from its beginning."""
    return np.random.default_rng([source.seed, JITTER])


def _of_duration(source: ArrivalSource, rates_per_s: Sequence[float], duration_s: float) -> AtRates:
    if source.num_requests is not None:
        raise InputError("num_requests, duration: both are given; one of them is accepted")
    checks.seconds("duration", duration_s, above_0=True)
    if source.workload is not None:
        found = _long_enough(lambda count: generated(source, count, rates_per_s), source, rates_per_s, duration_s)
    elif (read := read_source(source, None)).arrived_at_s is None:
        found = _long_enough(
            lambda count: with_drawn_arrivals(source, read, count, rates_per_s), source, rates_per_s, duration_s
        )
    else:
        found = _with_end_said(list(drawn_out(read, rates_per_s)), duration_s)
    return [(rate, window(trace, duration_s)) for rate, trace in found]


def _long_enough(
    draw: Callable[[int], Iterator[tuple[float, Trace]]],
    source: ArrivalSource,
    rates_per_s: Sequence[float],
    duration_s: float,
) -> AtRates:
    """Traces at each rate with so many requests that the last arrives after the duration.

    Of a workload as many are drawn whatever the rate, up to a number that few rates exceed: so the requests of a rate
    do not depend on which others are served, and those of a lower rate are the first of a higher one.
    """
    known = WORKLOADS.get(source.workload or "")
    highest = max(rates_per_s, default=known.rate_per_s if known else DEFAULT_RATE_PER_S)
    if not highest * duration_s < MAX_REQUESTS:
        raise InputError(f"duration: {duration_s} is not accepted; up to {MAX_REQUESTS} requests are")
    count = math.ceil(highest * duration_s) + 100
    if source.workload is not None:
        count = max(FEWEST_DRAWN, 1 << (count - 1).bit_length())
    found = list(draw(count))
    while min(trace.last_arrival_s for _, trace in found) < duration_s:
        count *= 2
        found = list(draw(count))
    return found


def _with_end_said(found: AtRates, duration_s: float) -> AtRates:
    """The traces, with a notice where they end before the duration."""
    short = [(rate, trace.last_arrival_s) for rate, trace in found if trace.last_arrival_s < duration_s]
    if not short:
        return found
    ends = ", ".join(f"{last_s:g} s" + (f" at {rate:g} a second" if len(found) > 1 else "") for rate, last_s in short)
    last = f"of whose {how_many(len(found[0][1]), 'request')} the last arrives at"
    said = f"--duration {duration_s:g} s is beyond the end of the trace, {last}"
    return [(rate, trace.with_notice(f"{said} {ends}.")) for rate, trace in found]


def window(trace: Trace, duration_s: float) -> Trace:
    """The requests that arrive before that time.

    Raises
    ------
    InputError
        No request arrives before it.
    """
    assert trace.arrived_at_s is not None
    count = int(np.searchsorted(trace.arrived_at_s, duration_s))
    if count == 0:
        first_s = trace.arrived_at_s[0]
        raise InputError(f"duration: {duration_s} is not accepted; the first request arrives at {first_s:g} s")
    return trace.rows(slice(count))
