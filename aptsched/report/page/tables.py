"""The tables of the page: every run, and the highest rates that hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aptsched.report.page.parts import Numbers
from aptsched.report.page.stored import StoredRun
from aptsched.support.plural import how_many

OUTCOMES = {
    "attained": ("attained",),
    "stable": ("stable",),
    "TTFT median, s": ("ttft", "median_s"),
    "TTFT P99, s": ("ttft", "p99_s"),
    "TBT median, s": ("tbt", "median_s"),
    "TBT P99, s": ("tbt", "p99_s"),
    "latency P99, s": ("latency", "p99_s"),
    "stalled over 2 s": ("stalled_over_2_s",),
    "over 10 s": ("stalled_over_10_s",),
    "rejected": ("rejected",),
    "starved": ("starved",),
    "goodput, 1/s": ("goodput_per_s",),
    "tokens/s": ("tokens_per_s",),
}  # a column of the first table of runs, and where a summary has it
WORK = {
    "iterations": ("num_iterations",),
    "preemptions": ("num_preemptions",),
    "promotions": ("num_promotions",),
    "swaps out": ("num_swap_outs",),
    "recomputed tokens": ("num_recomputed_tokens",),
    "KV share": ("kv_share",),
    "hidden share": ("hidden_share",),
    "scheduling share": ("scheduling_share",),
    "gap mean": ("gap_mean",),
    "gap worst": ("gap_worst",),
}  # and of the second
CAPACITIES = {
    "policy": "policy",
    "setting": "setting",
    "objectives": "slo",
    "level": "level",
    "holds, 1/s": "rate_per_s",
    "low": "low",
    "high": "high",
    "at least": "at_least",
    "stable": "stable",
    "bound, 1/s": "bound_per_s",
    "share of bound": "share_of_bound",
    "saturation, tokens/s": "saturation_tokens_per_s",
    "TTFT P99, s": "p99_ttft_s",
    "latency P99, s": "p99_latency_s",
    "rejected": "rejected",
}
COMPARISONS = {
    "policy": "policy",
    "over": "over",
    "setting": "setting",
    "objectives": "slo",
    "level": "level",
    "ratio": "ratio",
    "low": "low",
    "high": "high",
}
REPLICAS = {
    "policy": "policy",
    "setting": "setting",
    "objectives": "slo",
    "level": "level",
    "replicas": "num_replicas",
    "GPUs": "num_gpus",
    "cost per million tokens": "cost_per_million_tokens",
}


def run_tables(runs: Sequence[StoredRun]) -> Iterator[tuple[str, Numbers]]:
    """A row for each run: what requests saw of it, and what it took."""
    for caption, columns in (("All runs: what requests saw", OUTCOMES), ("All runs: what it took", WORK)):
        yield caption, run_rows(runs, columns)


def run_rows(runs: Sequence[StoredRun], columns: Mapping[str, Sequence[str]]) -> Numbers:
    """A row for each run, with what its summary has at each of the paths."""
    rows = [(run.label, run.rate_per_s, *(_at(run.summary, path) for path in columns.values())) for run in runs]
    return Numbers(("policy", "rate, 1/s", *columns), rows)


def capacity_tables(document: dict[str, Any]) -> Iterator[tuple[str, Numbers]]:
    """The tables of a search that have rows, by their captions."""
    named = (
        ("Highest rates that hold, with 95% intervals", "capacities", CAPACITIES),
        ("Times the rate of the first policy", "comparisons", COMPARISONS),
        (
            f"Replicas for {how_many(document['options'].get('gpus_for') or 0, 'request')} a second",
            "replicas",
            REPLICAS,
        ),
    )
    for caption, name, columns in named:
        if document[name]:
            rows = [[row.get(field) for field in columns.values()] for row in document[name]]
            yield caption, Numbers(list(columns), rows)


def _at(summary: dict[str, Any], path: Sequence[str]) -> Any:
    value: Any = summary
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
