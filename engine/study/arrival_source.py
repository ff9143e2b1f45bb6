"""Traces for a run: from a file or a built-in workload, at one request rate or several."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.support.errors import InputError
from aptsched.workload import generate, ranges
from aptsched.workload.arrivals import gamma_arrivals
from aptsched.workload.given import check_origin, read_given
from aptsched.workload.jitter import check_jitter
from aptsched.workload.synthetic import DEFAULT_CV, DEFAULT_RATE_PER_S, WORKLOADS
from aptsched.workload.trace import Trace

DEFAULT_REQUESTS = 100
MAX_REQUESTS = 10_000_000
MAX_RATE_PER_S = 1e9  # at higher rates requests would arrive at the same time
LENGTHS_ALONE = "The trace has lengths alone: arrivals are drawn"
ROWS, JITTER = 1, 2  # numbers of the seed's streams for rows and for jitter, apart from that of arrivals


@dataclass(frozen=True)
class ArrivalSource:
    """The trace or workload that the requests of a run come from.

    Attributes
    ----------
    trace : str, Trace or None
        A trace file, or the requests themselves.
    workload : str or None
        The name of a built-in workload, in place of a trace.
    num_requests : int or None
        Of a file with arrivals the first rows are taken, in the file's own order; of one with lengths alone so many
        are drawn by the seed, each at most once if there are enough. None for the caller's default, or all of a
        shorter file.
    cv : float or None
        Coefficient of variation of the gaps between arrivals; None for the default.
    seed : int
    jitter : float or None
        Share by which lengths are moved at most, as the seed says.
    max_prompt_tokens, max_output_tokens : int or None
        Longer prompts and outputs are clipped.
    """

    trace: str | Trace | None = None
    workload: str | None = None
    num_requests: int | None = None
    cv: float | None = None
    seed: int = 0
    jitter: float | None = None
    max_prompt_tokens: int | None = None
    max_output_tokens: int | None = None

    def __post_init__(self) -> None:
        check_origin(self.trace, self.workload, self.seed)
        if self.jitter is not None:
            check_jitter(self.jitter)
        if self.num_requests is not None:
            ranges.whole("num_requests", self.num_requests, MAX_REQUESTS)
        for name, most in self.clip.items():
            if most is not None:
                ranges.whole(name, most)

    @property
    def clip(self) -> dict[str, int | None]:
        """The most tokens of prompts and of outputs, by name."""
        return {"max_prompt_tokens": self.max_prompt_tokens, "max_output_tokens": self.max_output_tokens}


def traces(
    source: ArrivalSource, rates_per_s: Sequence[float] = (), default: int | None = DEFAULT_REQUESTS
) -> Iterator[tuple[float, Trace]]:
    """A trace for each rate, with its rate: the same requests and arrivals, scaled in time.

    Without rates it is one trace, at the default rate of the workload or the file's own.

    Parameters
    ----------
    source : ArrivalSource
        A file with arrivals is read no further than the requests needed.
    rates_per_s : sequence of float
    default : int or None
        Requests where the source does not say how many; None for all of a file.

    Raises
    ------
    InputError
        A bad trace, or an option out of range.
    """
    if source.workload is not None:
        yield from generated(source, source.num_requests or default or DEFAULT_REQUESTS, rates_per_s)
        return
    read = read_source(source, default)
    if read.arrived_at_s is None:
        count = source.num_requests or min(default or len(read), len(read))
        yield from with_drawn_arrivals(source, read, count, rates_per_s)
        return
    yield from drawn_out(read, rates_per_s)


def read_source(source: ArrivalSource, default: int | None) -> Trace:
    """The trace of a source's file: the first rows if it has arrivals, all rows if it has lengths alone."""
    assert source.trace is not None
    wanted = source.num_requests
    read = read_given(source.trace, wanted or (None if default is None else default + 1))
    if read.arrived_at_s is None:
        return read
    if source.cv is not None:
        raise InputError("cv: the trace has arrivals; nothing is accepted here")
    if wanted is not None and wanted > len(read):
        raise InputError(f"num_requests: {wanted} is not accepted; the trace has {len(read)}, up to that is")
    if wanted is None and default is not None and len(read) > default:
        said = (
            f"The trace has more than {default} requests, of which the first are served; --num-requests says how many."
        )
        return read.rows(slice(default)).with_notice(said)
    return read


def generated(source: ArrivalSource, num_requests: int, rates_per_s: Sequence[float]) -> Iterator[tuple[float, Trace]]:
    """So many requests of a built-in workload at each rate."""
    assert source.workload is not None
    known = WORKLOADS.get(source.workload)
    for rate in checked_rates(rates_per_s) or [DEFAULT_RATE_PER_S if known is None else known.rate_per_s]:
        rng = np.random.default_rng(source.seed)
        yield rate, generate(source.workload, num_requests, rng, rate, source.cv)


def with_drawn_arrivals(
    source: ArrivalSource, lengths: Trace, num_requests: int, rates_per_s: Sequence[float]
) -> Iterator[tuple[float, Trace]]:
    """So many requests with the lengths of a file, at each rate; rows and arrivals are drawn by the seed.

    If all rows are needed they are taken in order. Else they are drawn in random order, all of them before any comes
    again; those of a smaller number are the first of a larger one.
    """
    cv = DEFAULT_CV if source.cv is None else source.cv
    said, total = f"{LENGTHS_ALONE} by the seed (coefficient of variation {cv:g})", len(lengths)
    if num_requests != total:
        rng = np.random.default_rng([source.seed, ROWS])
        orders = [rng.permutation(total) for _ in range(-(-num_requests // total))]
        lengths = lengths.rows(np.concatenate(orders)[:num_requests])
        said += f", and so are the rows, of {total}" + (", some of them several times" if num_requests > total else "")
    for rate in checked_rates(rates_per_s) or [DEFAULT_RATE_PER_S]:
        arrived = gamma_arrivals(num_requests, rate, cv, np.random.default_rng(source.seed))
        yield rate, dataclasses.replace(lengths.with_notice(f"{said}."), arrived_at_s=arrived)


def drawn_out(trace: Trace, rates_per_s: Sequence[float]) -> Iterator[tuple[float, Trace]]:
    """The trace of a file at each rate: all gaps between arrivals scaled by one factor, the first request at 0."""
    assert trace.arrived_at_s is not None
    since = trace.arrived_at_s - trace.arrived_at_s[0]
    own = (len(trace) - 1) / since[-1] if since[-1] * MAX_RATE_PER_S > len(trace) else float("nan")
    if rates_per_s and np.isnan(own):
        raise InputError("rate: all requests of the trace arrive at the same time; nothing is accepted here")
    for rate in checked_rates(rates_per_s) or [own]:
        factor = own / rate if rates_per_s else 1.0
        yield float(rate), dataclasses.replace(trace, arrived_at_s=since * factor)


def checked_rates(rates_per_s: Sequence[float]) -> list[float]:
    """The rates; raises InputError unless each is in range."""
    return [ranges.number("rate", rate, 1e-6, 1e6) for rate in rates_per_s]
