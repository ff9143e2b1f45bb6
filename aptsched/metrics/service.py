"""Latencies, attainment, goodput and fairness of a run, from the records of its requests.

Percentiles are those of `percentile`: values that were observed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptsched.metrics.latencies import Latencies, latencies
from aptsched.metrics.percentile import percentile
from aptsched.scheduling.columns import COUNTS, CountColumns
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support import checks
from aptsched.support.checks import Bools, Floats
from aptsched.support.errors import InputError

LEVELS = (0.6, 0.9)  # shares of requests within both objectives for which the highest rate is sought


@dataclass(frozen=True)
class Percentiles:
    """Median, 90th and 99th percentile in seconds; nan of nothing."""

    median_s: float
    p90_s: float
    p99_s: float


@dataclass(frozen=True)
class ServiceLevel:
    """How requests were served: the first fields of `Metrics`.

    Attributes
    ----------
    num_requests, num_finished, num_rejected : int
    span_s : float
        From the first arrival to the last arrival or token, unless given.
    ttft, tbt, latency : Percentiles
        Over requests with a token, over all gaps of all requests, and over finished requests.
    attained_ttft, attained_tbt, attained : float
        Share of all requests that finished with their TTFT, their own P99 TBT, both within the objectives. What did not
        finish attains nothing. Source: Apt-Serve, section 6.1.
    attained_with_max_tbt : float
        Both, with the largest gap of the request in place of the P99.
    goodput_per_s, tokens_per_s : float
        Requests that attain both, and output tokens of all requests, over the span.
    """

    num_requests: int
    num_finished: int
    num_rejected: int
    span_s: float
    ttft: Percentiles
    tbt: Percentiles
    latency: Percentiles
    attained_ttft: float
    attained_tbt: float
    attained: float
    attained_with_max_tbt: float
    goodput_per_s: float
    tokens_per_s: float


@dataclass(frozen=True)
class Metrics(CountColumns[int], ServiceLevel):  # in files: how they were served, the counts, what is below
    """Figures of all records of a run; nan where there is nothing to measure, None where it was not asked for.

    Counts are the sums of those of the requests.

    Attributes
    ----------
    starved : float
        Share of all requests whose first token came later than 10 times its objective, or never.
    jain : float, optional
        Jain's index over the slowdown of the finished requests, latency over baseline: 1 where all are slowed down
        alike, 1 / r where one bears all. Source: Jain, Chiu and Hawe (1984).
    """

    starved: float
    jain: float | None = None


def summarise(records: Sequence[RequestRecord], baseline_s: npt.ArrayLike | None = None) -> Metrics:
    """Compute the metrics of a run from its records.

    Parameters
    ----------
    records : sequence of RequestRecord, [r]
        May be empty: all shares, rates and percentiles are nan then.
    baseline_s : array_like of float, [r], optional
        Latency that each request would have alone, above 0, for Jain's index.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.
    """
    return of_latencies(
        latencies(records),
        np.array([record.arrived_at_s for record in records], np.float64),
        [record.outcome for record in records],
        {name: sum(getattr(record, name) for record in records) for name in COUNTS},
        baseline_s,
    )


def of_latencies(
    each: Latencies,
    arrived_at_s: Floats,
    outcomes: Sequence[Outcome],
    counts: Mapping[str, int],
    baseline_s: npt.ArrayLike | None = None,
) -> Metrics:
    """The metrics of a run from its requests' latencies, arrivals and outcomes, [r], and the sums of their `COUNTS`."""
    span_s = _span(each, arrived_at_s)
    attained = each.attained_ttft & each.attained_tbt
    return Metrics(
        num_requests=len(outcomes),
        num_finished=outcomes.count(Outcome.FINISHED),
        num_rejected=outcomes.count(Outcome.REJECTED),
        span_s=span_s,
        ttft=_percentiles(each.ttft_s),
        tbt=_percentiles(each.tbt_s),
        latency=_percentiles(each.latency_s),
        attained_ttft=_share(each.attained_ttft),
        attained_tbt=_share(each.attained_tbt),
        attained=_share(attained),
        attained_with_max_tbt=_share(each.attained_ttft & each.attained_max_tbt),
        goodput_per_s=int(attained.sum()) / span_s if span_s > 0 else math.nan,
        tokens_per_s=int(each.num_tokens.sum()) / span_s if span_s > 0 else math.nan,
        starved=_share(each.starved),
        jain=None if baseline_s is None else _jain(each.latency_s, baseline_s),
        **counts,
    )


def highest_rate(rates_per_s: npt.ArrayLike, shares: npt.ArrayLike, level: float) -> float:
    """The highest request rate whose share of requests that attain their objectives still holds a level.

    Parameters
    ----------
    rates_per_s : array_like of float, [k]
        Rising.
    shares : array_like of float, [k]
        Attained at each rate.
    level : float
        0.9 is 90%.

    Returns
    -------
    float
        The rate at which the share falls below the level, on the straight line between the last rate that holds it,
        counted from the lowest, and the next; rates beyond do not count. If all rates hold the level, the highest one,
        a lower bound; nan if the lowest does not hold it.
    """
    rates, attained = checks.floats("rates_per_s", rates_per_s, ndim=1), checks.floats("shares", shares, ndim=1)
    if rates.shape != attained.shape:
        raise InputError(f"shares: shape {list(attained.shape)} does not match; {list(rates.shape)} is needed")
    if not (np.diff(rates) > 0).all():
        raise InputError(f"rates_per_s: {rates.tolist()} is not accepted; rates that rise are")
    missed = np.flatnonzero(attained < level)
    if not missed.size:
        return float(rates[-1])
    after = int(missed[0])
    if after == 0:
        return math.nan
    before = after - 1
    share = (attained[before] - level) / (attained[before] - attained[after])
    return float(rates[before] + share * (rates[after] - rates[before]))


def _span(each: Latencies, arrived_at_s: Floats) -> float:
    if not arrived_at_s.size:
        return math.nan
    return float(np.fmax(arrived_at_s, each.last_token_at_s).max() - arrived_at_s.min())


def _percentiles(values: Floats) -> Percentiles:
    known = values[~np.isnan(values)]
    return Percentiles(*(percentile(known, percent) for percent in (50, 90, 99)))


def _share(flags: Bools) -> float:
    return float(flags.mean()) if flags.size else math.nan


def _jain(latency_s: Floats, baseline_s: npt.ArrayLike) -> float:
    if not latency_s.size:
        return math.nan
    baseline = checks.floats("baseline_s", baseline_s, ndim=1)
    if baseline.shape != latency_s.shape:
        raise InputError(f"baseline_s: shape {list(baseline.shape)} does not match; {list(latency_s.shape)} is needed")
    if baseline.min() <= 0:
        raise InputError(f"baseline_s: {baseline.min()} is not accepted; seconds above 0 are")
    slowdown = (latency_s / baseline)[~np.isnan(latency_s)]
    total = float((slowdown**2).sum())
    return float(slowdown.sum()) ** 2 / (len(slowdown) * total) if total > 0 else math.nan
