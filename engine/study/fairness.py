"""Figures of simulations alone: fairness compared with serving each request alone, and runs without their warm-up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from aptsched.metrics.service import Metrics, summarise
from aptsched.report import table
from aptsched.report.table import Column, Section
from engine.simulator.cost import Cost
from engine.study.replay import Replay
from engine.study.serving import ServedRun
from engine.study.simulation import alone_s

COLUMNS = (
    Column("policy", left=True),
    *(Column(name, "latency, end to end", min_width=6) for name in ("median", "p90", "p99")),
    Column("largest TBT", "within SLO"),
    Column("starved"),
    Column("Jain's index"),
    Column("tokens", "recomputed"),
)
NOTES = (
    "starved: share whose first token came after 10 times its objective, or never. Jain's index: over latency / "
    "latency alone, 1 where all are slowed down alike.",
)


def after(run: ServedRun, warmup_s: float) -> ServedRun:
    """The run without the records of requests that arrived during the warm-up; usage still covers all iterations."""
    records = tuple(record for record in run.records if record.arrived_at_s >= warmup_s)
    return dataclasses.replace(run, records=records)


def fairness(run: ServedRun, replays: Sequence[Replay], cost: Cost) -> Metrics:
    """The metrics of a run, with Jain's index."""
    of_run = next(each for each in replays if each.rate_per_s == run.rate_per_s or math.isnan(run.rate_per_s))
    alone = alone_s(of_run, cost)
    return summarise(run.records, baseline_s=[alone[record.request_id] for record in run.records])


def sections(runs: Sequence[ServedRun], metrics: Sequence[Metrics]) -> list[Section]:
    """Rows of end-to-end latencies, attainment with the largest TBT, starvation and Jain's index, by rate."""
    groups: dict[str, list[list[str]]] = {}
    for run, of_run in zip(runs, metrics, strict=True):
        title = "" if math.isnan(run.rate_per_s) else f"{run.rate_per_s:.3g} a second"
        groups.setdefault(title, []).append([run.policy, *_row(of_run)])
    return [Section(title, rows) for title, rows in groups.items()]


def _row(metrics: Metrics) -> list[str]:
    latency = metrics.latency
    return [
        *(table.duration(s) if not math.isnan(s) else "-" for s in (latency.median_s, latency.p90_s, latency.p99_s)),
        table.percent(metrics.attained_with_max_tbt),
        table.percent(metrics.starved),
        "-" if metrics.jain is None or math.isnan(metrics.jain) else f"{metrics.jain:.3f}",
        table.count(metrics.num_recomputed_tokens),
    ]
