"""Figures of the gap study, over the records of each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.metrics.percentile import percentile
from solvers.solution import Status
from solvers.study.method_runs import EXCEEDS, Record

Group = tuple[int | None, float | None]  # number of requests, load


@dataclass(frozen=True)
class Summary:
    """Figures over the records of one method; None where no record has the value.

    Attributes
    ----------
    num_requests, load
        Those of the group; None where the summary is over several.
    num_instances, num_with_optimum : int
        Instances, and those of them whose optimum is proved by any method: `optimum_gap_*` are over these.
    num_exceeding : int
        Answers that break a limit; the gaps are over the others.
    proved : float
        Share of the instances on which this method proved its answer optimal.
    optimum_gap_mean, optimum_gap_p99, optimum_gap_worst, certified_gap_mean, certified_gap_worst : float or None
    seconds_median, seconds_p99 : float
        A p99 is an observed value (`percentile`).
    """

    num_requests: int | None
    load: float | None
    method: str
    guarantee: str
    num_instances: int
    num_with_optimum: int
    num_exceeding: int
    proved: float
    optimum_gap_mean: float | None
    optimum_gap_p99: float | None
    optimum_gap_worst: float | None
    certified_gap_mean: float | None
    certified_gap_worst: float | None
    seconds_median: float
    seconds_p99: float


def summaries_by_method(records: Sequence[Record]) -> list[Summary]:
    """A summary for each size, load and method; if there are several sizes or loads, also one for each method."""
    groups: dict[Group, list[Record]] = {}
    for record in records:
        groups.setdefault((record.num_requests, record.load), []).append(record)
    if len(groups) > 1:
        sizes, loads = {n for n, _ in groups}, {load for _, load in groups}
        groups[None if len(sizes) > 1 else sizes.pop(), None if len(loads) > 1 else loads.pop()] = list(records)
    return [
        _summary(n, load, [record for record in group if record.method == method])
        for (n, load), group in groups.items()
        for method in dict.fromkeys(record.method for record in group)
    ]


def _summary(num_requests: int | None, load: float | None, records: Sequence[Record]) -> Summary:
    to_optimum = [record.optimum_gap for record in records if record.optimum_gap is not None]
    certified = [record.certified_gap for record in records if record.certified_gap is not None]
    seconds = [record.seconds for record in records]
    return Summary(
        num_requests=num_requests,
        load=load,
        method=records[0].method,
        guarantee=records[0].guarantee,
        num_instances=len(records),
        num_with_optimum=len(to_optimum),
        num_exceeding=sum(record.status == EXCEEDS for record in records),
        proved=sum(record.status == Status.OPTIMAL.value for record in records) / len(records),
        optimum_gap_mean=float(np.mean(to_optimum)) if to_optimum else None,
        optimum_gap_p99=percentile(to_optimum, 99) if to_optimum else None,
        optimum_gap_worst=max(to_optimum, default=None),
        certified_gap_mean=float(np.mean(certified)) if certified else None,
        certified_gap_worst=max(certified, default=None),
        seconds_median=float(np.median(seconds)),
        seconds_p99=percentile(seconds, 99),
    )
