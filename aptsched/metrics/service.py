"""Latencies, attainment, goodput and fairness of a run, from the records of its requests.

Percentiles are those of `percentile`: values that were observed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aptsched.metrics.latencies import FLAGS, Latencies, of_part
from aptsched.metrics.percentile import percentiles_of
from aptsched.metrics.stability import in_time, is_stable
from aptsched.scheduling.columns import COUNTS, CountColumns
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.records import MANY, in_parts
from aptsched.support import checks
from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.spilled import MAX_HELD_BYTES, SpilledFloats

OF_TENANTS = ("attained", "attained_ttft", "attained_max_tbt", "rejected", "starved")  # shares given by tenant too
PERCENTS = (50, 90, 99)  # of `Percentiles`
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


def summarise(
    records: Sequence[RequestRecord], alone_s: npt.ArrayLike | None = None, rows: Ints | None = None
) -> Metrics:
    """Compute the metrics of a run from its records.

    Parameters
    ----------
    records : sequence of RequestRecord
    alone_s : array_like of float, [r], optional
        Latency that each request would have alone, above 0, for `stable` and `jain`.
    rows : int array, [r], optional
        Places of the records that count, all by default. There may be none: all shares, rates and percentiles are nan
        then.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted; or what very many requests need cannot be spilled.
    """
    num_requests = len(records) if rows is None else len(rows)
    alone = None if alone_s is None or not num_requests else _alone(alone_s, num_requests)
    totals = Totals()
    for number, part in enumerate(in_parts(records, rows)):
        counts = {name: sum(getattr(record, name) for record in part) for name in COUNTS}
        of_alone = None if alone is None else alone[number * MANY :][: len(part)]
        totals.add(of_part(part), [record.outcome for record in part], counts, of_alone)
    return totals.metrics()


class Totals:
    """What the metrics of a run are made of, added up over its requests, part after part."""

    def __init__(self) -> None:
        self._num, self._counts = Counter[str](), Counter[str]()
        self._first_s, self._last_s, self._max_tbt_s = math.inf, -math.inf, math.nan
        self._tbt_s = SpilledFloats()
        of_each = [SpilledFloats(MAX_HELD_BYTES // 16) for _ in range(4)]  # which are few of all that there is of it
        self._ttft_s, self._latency_s, self._fluidity, self._slowdown = of_each

    def add(
        self, each: Latencies, outcomes: Sequence[Outcome], counts: Mapping[str, int], alone_s: Floats | None
    ) -> None:
        """Add requests by their latencies and outcomes, [r], and the sums of their `COUNTS`.

        What each would take alone, above 0 s, comes with every part or with none.
        """
        if not outcomes:
            return
        self._num.update(_numbers(each, outcomes))
        self._counts.update(counts)
        self._first_s = min(self._first_s, float(each.arrived_at_s.min()))
        self._last_s = max(self._last_s, float(np.fmax(each.arrived_at_s, each.last_token_at_s).max()))
        self._max_tbt_s = float(np.fmax.reduce(each.max_tbt_s, initial=self._max_tbt_s))
        self._ttft_s.append(_known(each.ttft_s))
        self._tbt_s.append(_known(each.tbt_s))
        self._latency_s.append(_known(each.latency_s))
        self._fluidity.append(np.where(each.finished, each.fluidity, 0.0))
        if alone_s is not None:
            found = in_time(each.latency_s, outcomes, alone_s)
            self._num.update(alone=len(alone_s), admitted=len(found), in_time=int(found.sum()))
            self._slowdown.append(_known(each.latency_s / alone_s))

    def metrics(self) -> Metrics:
        """The metrics of all that was added."""
        num, span_s = self._num, self._last_s - self._first_s if self._num else math.nan
        names = ("rejected", "stalled_over_2_s", "stalled_over_10_s", *FLAGS)
        shares: dict[str, Any] = {name: num[name] / num["requests"] if num else math.nan for name in names}
        return Metrics(
            num_requests=num["requests"],
            num_finished=num["finished"],
            num_rejected=num["rejected"],
            span_s=span_s,
            ttft=Percentiles(*percentiles_of(self._ttft_s, PERCENTS)),
            tbt=Percentiles(*percentiles_of(self._tbt_s, PERCENTS)),
            latency=Percentiles(*percentiles_of(self._latency_s, PERCENTS)),
            fluidity=_mean(self._fluidity.whole()),
            max_tbt_s=self._max_tbt_s,
            goodput_per_s=num["attained"] / span_s if span_s > 0 else math.nan,
            tokens_per_s=num["tokens"] / span_s if span_s > 0 else math.nan,
            stable=is_stable(num["in_time"], num["admitted"]),
            jain=_jain(self._slowdown.whole()) if num["alone"] else None,
            **{name: self._counts[name] for name in COUNTS},
            **shares,
        )


def _numbers(each: Latencies, outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Of how many requests something is true, and their output tokens."""
    true = {
        **{name: getattr(each, name) for name in ("finished", *FLAGS)},
        "stalled_over_2_s": each.max_tbt_s > 2,
        "stalled_over_10_s": each.max_tbt_s > 10,
    }
    rejected, num_tokens = outcomes.count(Outcome.REJECTED), int(each.num_tokens.sum())
    numbers = {name: int(flags.sum()) for name, flags in true.items()}
    return {**numbers, "rejected": rejected, "requests": len(outcomes), "tokens": num_tokens}


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan


def _alone(given: npt.ArrayLike, num_requests: int) -> Floats:
    alone = checks.floats("alone_s", given, ndim=1)
    if alone.shape != (num_requests,):
        raise InputError(f"alone_s: shape {list(alone.shape)} does not match; {[num_requests]} is needed")
    if alone.min() <= 0:
        raise InputError(f"alone_s: {alone.min()} is not accepted; seconds above 0 are")
    return alone


def _jain(slowdown: Floats) -> float:
    total = float((slowdown**2).sum())
    return float(slowdown.sum()) ** 2 / (len(slowdown) * total) if total > 0 else math.nan
