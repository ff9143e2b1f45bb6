"""The table of simulations alone: end-to-end latencies, fairness, and what was computed twice."""

from __future__ import annotations

from collections.abc import Sequence

from aptsched.metrics.service import Metrics
from aptsched.report import table
from aptsched.report.table import Column, Section
from engine.study.run_table import known, sections
from engine.study.served_run import ServedRun

COLUMNS = (
    Column("policy", left=True),
    *(Column(name, "latency, end to end", min_width=6) for name in ("median", "p90", "p99")),
    Column("Jain's index"),
    Column("tokens", "recomputed"),
)
NOTES = ("Jain's index: over latency / latency alone, 1 where all are slowed down alike.",)


def fairness_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """The rows of `COLUMNS`, by rate."""
    return sections(runs, _row)


def _row(run: ServedRun, metrics: Metrics) -> list[str]:
    latency = metrics.latency
    return [
        *(known(table.duration, seconds) for seconds in (latency.median_s, latency.p90_s, latency.p99_s)),
        "-" if metrics.jain is None else known(lambda jain: f"{jain:.3f}", metrics.jain),
        table.count(metrics.num_recomputed_tokens),
    ]
