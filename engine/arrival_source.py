"""Traces for a run: from a file or a built-in workload, at one request rate or several."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.errors import InputError
from aptsched.workload import generate, ranges, read_trace
from aptsched.workload.arrivals import gamma_arrivals
from aptsched.workload.synthetic import WORKLOADS
from aptsched.workload.trace import Trace

DEFAULT_REQUESTS = 100
DEFAULT_RATE_PER_S, DEFAULT_CV = 3.0, 1.0  # of a trace that has lengths alone


@dataclass(frozen=True)
class ArrivalSource:
    """Where the requests of a run come from.

    Attributes
    ----------
    trace, workload : str or None
        A trace file, or the name of a built-in workload: one of the two.
    num_requests : int or None
        Of a trace the first ones; None for 100, or all of a shorter trace.
    cv : float or None
        Coefficient of variation of the gaps between arrivals; None for the default.
    seed : int
    """

    trace: str | None = None
    workload: str | None = None
    num_requests: int | None = None
    cv: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.trace is None) == (self.workload is None):
            given = "neither is given" if self.trace is None else "both are given"
            raise InputError(f"trace, workload: {given}; one of them is accepted")
        if self.seed < 0:
            raise InputError(f"seed: {self.seed} is not accepted; a whole number of at least 0 is")
        if self.num_requests is not None:
            ranges.whole("num_requests", self.num_requests)


def traces(source: ArrivalSource, rates_per_s: Sequence[float] = ()) -> Iterator[tuple[float, Trace]]:
    """A trace for each rate, with its rate: the same requests, and the same arrivals drawn out.

    Without rates it is one, at the default rate of the workload, or the file's own.

    Raises
    ------
    InputError
        A bad trace, or an option out of range.
    """
    given = [ranges.number("rate", rate, 1e-6, 1e6) for rate in rates_per_s]
    if source.workload is not None:
        yield from _generated(source, given)
        return
    assert source.trace is not None
    trace = _first(read_trace(source.trace), source.num_requests)
    if trace.arrived_at_s is None:
        yield from _drawn(source, trace, given)
        return
    if source.cv is not None:
        raise InputError("cv: the trace has arrivals; nothing is accepted here")
    yield from _drawn_out(trace, trace.arrived_at_s, given)


def _generated(source: ArrivalSource, rates_per_s: Sequence[float]) -> Iterator[tuple[float, Trace]]:
    assert source.workload is not None
    known = WORKLOADS.get(source.workload)
    for rate in rates_per_s or [DEFAULT_RATE_PER_S if known is None else known.rate_per_s]:
        rng = np.random.default_rng(source.seed)
        yield rate, generate(source.workload, source.num_requests or DEFAULT_REQUESTS, rng, rate, source.cv)


def _drawn(source: ArrivalSource, trace: Trace, rates_per_s: Sequence[float]) -> Iterator[tuple[float, Trace]]:
    cv = DEFAULT_CV if source.cv is None else source.cv
    for rate in rates_per_s or [DEFAULT_RATE_PER_S]:
        arrived = gamma_arrivals(len(trace), rate, cv, np.random.default_rng(source.seed))
        yield rate, dataclasses.replace(trace, arrived_at_s=arrived)


def _drawn_out(
    trace: Trace, arrived_at_s: np.typing.NDArray[np.float64], rates_per_s: Sequence[float]
) -> Iterator[tuple[float, Trace]]:
    """The arrivals of a file, all gaps longer or shorter by the same factor; the first request at 0."""
    since = arrived_at_s - arrived_at_s[0]
    own = (len(trace) - 1) / since[-1] if since[-1] > 0 else float("nan")
    if rates_per_s and np.isnan(own):
        raise InputError("rate: all requests of the trace arrive at the same time; nothing is accepted here")
    for rate in rates_per_s or [own]:
        factor = own / rate if rates_per_s else 1.0
        yield float(rate), dataclasses.replace(trace, arrived_at_s=since * factor)


def _first(trace: Trace, num_requests: int | None) -> Trace:
    count = min(DEFAULT_REQUESTS, len(trace)) if num_requests is None else num_requests
    if count > len(trace):
        raise InputError(f"num_requests: {count} is not accepted; the trace has {len(trace)}, up to that is")
    arrived = None if trace.arrived_at_s is None else trace.arrived_at_s[:count]
    return dataclasses.replace(
        trace,
        arrived_at_s=arrived,
        prompt_tokens=trace.prompt_tokens[:count],
        output_tokens=trace.output_tokens[:count],
    )
