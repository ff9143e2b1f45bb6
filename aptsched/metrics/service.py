"""Latencies, attainment, goodput and fairness of a run, from the records of its requests.

Percentiles are those of `percentile`: values that were observed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptsched.metrics.latencies import Latencies, joined, of_part
from aptsched.metrics.percentile import percentiles
from aptsched.metrics.stability import is_stable
from aptsched.scheduling.columns import COUNTS, CountColumns
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.records import in_parts
from aptsched.support import checks
from aptsched.support.checks import Bools, Floats
from aptsched.support.errors import InputError

OF_TENANTS = ("attained", "attained_ttft", "attained_max_tbt", "rejected", "starved")  # shares given by tenant too
LEVELS = (0.6, 0.9, 0.99)  # shares of requests that attain, for which the highest rate is sought


@dataclass(frozen=True)
class Percentiles:
    """Median, 90th and 99th percentile in seconds; nan of nothing."""

    median_s: float
    p90_s: float
    p99_s: float


@dataclass(frozen=True)
class ServiceLevel:
    """How requests were served: the first fields of `Metrics`. Shares are of all requests, also of those rejected.

    Attributes
    ----------
    num_requests, num_finished, num_rejected : int
    span_s : float
        From the first arrival to the last arrival or token, unless given.
    ttft, tbt, latency : Percentiles
        Over requests with a token, over all gaps of all requests, and over finished requests.
    attained : float
        Share that finished with every token by its deadline: token i within TTFT + (i - 1) TPOT of the arrival.
    attained_ttft : float
        Share that finished with their TTFT within the objective.
    attained_p99_tbt, attained_mean_tbt, attained_max_tbt : float
        The same with the P99 (Apt-Serve, section 6.1), the mean (DistServe, OSDI '24), the largest of the request's own
        gaps within the objective of the TPOT as well.
    fluidity : float
        Mean fluidity index (Etalon, arXiv 2407.07000), 0 of what did not finish.
    stalled_over_2_s, stalled_over_10_s : float
        Share with a longer gap between two tokens.
    max_tbt_s : float
        The largest gap of all.
    rejected : float
        Share that was rejected.
    starved : float
        Share whose first token came later than 10 times its objective, or never.
    goodput_per_s, tokens_per_s : float
        Requests that attain, and output tokens of all requests, over the span.
    """

    num_requests: int
    num_finished: int
    num_rejected: int
    span_s: float
    ttft: Percentiles
    tbt: Percentiles
    latency: Percentiles
    attained: float
    attained_ttft: float
    attained_p99_tbt: float
    attained_mean_tbt: float
    attained_max_tbt: float
    fluidity: float
    stalled_over_2_s: float
    stalled_over_10_s: float
    max_tbt_s: float
    rejected: float
    starved: float
    goodput_per_s: float
    tokens_per_s: float


@dataclass(frozen=True)
class Metrics(CountColumns[int], ServiceLevel):  # in files: how they were served, the counts, what is below
    """Figures of all records of a run; nan where there is nothing to measure, None where it cannot be known.

    Counts are the sums of those of the requests.

    Attributes
    ----------
    stable : bool, optional
        Whether requests end about as fast as they arrive (`is_stable`).
    jain : float, optional
        Jain's index over the slowdown of the finished requests, latency over latency alone: 1 where all are slowed down
        alike, 1 / r where one bears all. Source: Jain, Chiu and Hawe (1984).
    """

    stable: bool | None = None
    jain: float | None = None


def summarise(records: Sequence[RequestRecord], alone_s: npt.ArrayLike | None = None) -> Metrics:
    """Compute the metrics of a run from its records.

    Parameters
    ----------
    records : sequence of RequestRecord, [r]
        May be empty: all shares, rates and percentiles are nan then.
    alone_s : array_like of float, [r], optional
        Latency that each request would have alone, above 0, for `stable` and `jain`.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.
    """
    outcomes, counts = list[Outcome](), dict.fromkeys(COUNTS, 0)

    def measured() -> Iterator[Latencies]:
        for part in in_parts(records):
            outcomes.extend(record.outcome for record in part)
            for name in COUNTS:
                counts[name] += sum(getattr(record, name) for record in part)
            yield of_part(part)

    return of_latencies(joined(measured()), outcomes, counts, alone_s)


def of_latencies(
    each: Latencies, outcomes: Sequence[Outcome], counts: Mapping[str, int], alone_s: npt.ArrayLike | None = None
) -> Metrics:
    """The metrics of a run from its requests' latencies and outcomes, [r], and the sums of their `COUNTS`."""
    span_s = _span(each)
    alone = None if alone_s is None or not outcomes else _alone(alone_s, len(outcomes))
    return Metrics(
        num_requests=len(outcomes),
        num_finished=outcomes.count(Outcome.FINISHED),
        num_rejected=outcomes.count(Outcome.REJECTED),
        span_s=span_s,
        ttft=_percentiles(each.ttft_s),
        tbt=_percentiles(each.tbt_s),
        latency=_percentiles(each.latency_s),
        attained=_mean(each.attained),
        attained_ttft=_mean(each.attained_ttft),
        attained_p99_tbt=_mean(each.attained_p99_tbt),
        attained_mean_tbt=_mean(each.attained_mean_tbt),
        attained_max_tbt=_mean(each.attained_max_tbt),
        fluidity=_mean(np.where(each.finished, each.fluidity, 0.0)),
        stalled_over_2_s=_mean(each.max_tbt_s > 2),
        stalled_over_10_s=_mean(each.max_tbt_s > 10),
        max_tbt_s=float(np.fmax.reduce(each.max_tbt_s, initial=math.nan)),
        rejected=_mean(np.array([outcome is Outcome.REJECTED for outcome in outcomes])),
        starved=_mean(each.starved),
        goodput_per_s=int(each.attained.sum()) / span_s if span_s > 0 else math.nan,
        tokens_per_s=int(each.num_tokens.sum()) / span_s if span_s > 0 else math.nan,
        stable=None if alone is None else is_stable(each.latency_s, outcomes, alone),
        jain=None if alone is None else _jain(each.latency_s, alone),
        **counts,
    )


def _span(each: Latencies) -> float:
    if not each.arrived_at_s.size:
        return math.nan
    return float(np.fmax(each.arrived_at_s, each.last_token_at_s).max() - each.arrived_at_s.min())


def _percentiles(values: Floats) -> Percentiles:
    known = values[~np.isnan(values)]
    return Percentiles(*percentiles(known, (50, 90, 99)))


def _mean(values: Bools | Floats) -> float:
    return float(values.mean()) if values.size else math.nan


def _alone(given: npt.ArrayLike, num_requests: int) -> Floats:
    alone = checks.floats("alone_s", given, ndim=1)
    if alone.shape != (num_requests,):
        raise InputError(f"alone_s: shape {list(alone.shape)} does not match; {[num_requests]} is needed")
    if alone.min() <= 0:
        raise InputError(f"alone_s: {alone.min()} is not accepted; seconds above 0 are")
    return alone


def _jain(latency_s: Floats, alone_s: Floats) -> float:
    slowdown = (latency_s / alone_s)[~np.isnan(latency_s)]
    total = float((slowdown**2).sum())
    return float(slowdown.sum()) ** 2 / (len(slowdown) * total) if total > 0 else math.nan
