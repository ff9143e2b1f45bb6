"""The tables of a search for the highest rates that hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aptsched.report import table
from aptsched.report.table import Column, Section
from aptsched.support.plural import how_many
from engine.capacities.found import Capacity, Comparison, Group, Replicas
from engine.study.run_table import known

RATES = (
    Column("policy", left=True),
    Column("req/s", "holds", min_width=6),
    Column("95%", "holds", min_width=11),
    Column("times", "the first's", min_width=5),
    Column("95%", "the first's", min_width=9),
    Column("req/s", "no policy passes", min_width=6),
    Column("share", "no policy passes", min_width=9),
    Column("stable"),
)
FIGURES = (
    Column("policy", left=True),
    Column("TTFT", "p99", min_width=7),
    Column("latency", "p99", min_width=7),
    Column("over 10 s", "stalled"),
    Column("rejected"),
    Column("tok/s", "most", min_width=6),
)
REPLICAS = (
    Column("policy", left=True),
    Column("replicas"),
    Column("GPUs"),
    Column("cost per 1M tokens"),
)


def rate_sections(groups: Sequence[Group], levels: Sequence[float]) -> list[Section]:
    """A section for each setting, objectives and level: what each policy holds, and how many times the first's."""
    sections = []
    for group in groups:
        capacities, comparisons = list(group.capacities(levels)), list(group.comparisons(levels))
        for level in levels:
            ratios = {each.policy: each for each in comparisons if each.level == level}
            rows = [_rate_row(each, ratios.get(each.policy)) for each in capacities if each.level == level]
            sections += [Section(f"{level:.4g} of requests, {group.objectives}. {group.setting}", rows)] if rows else []
    return sections


def figure_sections(groups: Sequence[Group], levels: Sequence[float]) -> list[Section]:
    """The same sections: what requests come to at the highest rate that holds, and the most that any run served."""
    found = [(group, list(group.capacities([level])), level) for group in groups for level in levels]
    return [
        Section(f"{level:.4g} of requests, {group.objectives}, {group.setting.name}", [_figure_row(e) for e in rows])
        for group, rows, level in found
        if rows
    ]


def replica_sections(replicas: Sequence[Replicas], rate_per_s: float | None) -> list[Section]:
    """A section for each setting, objectives and level: replicas for the rate that was asked for."""
    groups: dict[str, list[list[str]]] = {}
    for each in replicas:
        cost = "-" if each.cost_per_million_tokens is None else f"{each.cost_per_million_tokens:.3g}"
        row = [each.policy, str(each.num_replicas), str(each.num_gpus), cost]
        title = (
            f"{how_many(rate_per_s or 0.0, 'request')} a second, {each.level:.4g} of them {each.slo}, {each.setting}"
        )
        groups.setdefault(title, []).append(row)
    return [Section(title, rows) for title, rows in groups.items()]


def notes(groups: Sequence[Group], capacities: Sequence[Capacity]) -> list[str]:
    """Lines below the tables that explain them."""
    counts = " and ".join(dict.fromkeys(how_many(len(group.arrivals), "seed") for group in groups))
    lines = [
        "holds: the highest rate below which every probed rate holds, the geometric mean over "
        f"{counts}, the same for all policies, and its 95% interval; times the first's: of paired seeds. no "
        "policy passes: with these forms of cache, and the share of it that is reached. Latencies, stalled (a gap of "
        "over 10 s) and rejected: at the highest rate that holds; most: output tokens a second of any run.",
    ]
    if any(each.rate_per_s > 0 and not each.stable for each in capacities):
        lines.append("Where a rate is not stable, requests attain while a backlog grows: it is not a rate that holds.")
    if any(each.at_least for each in capacities):
        lines.append("A rate with + is the highest that was probed: all of them hold.")
    return lines


def _rate_row(found: Capacity, ratio: Comparison | None) -> list[str]:
    times = (math.nan, math.nan, math.nan) if ratio is None else (ratio.ratio, ratio.low, ratio.high)
    return [
        found.policy,
        f"{found.rate_per_s:.3g}{'+' * found.at_least}" if math.isfinite(found.rate_per_s) else "none",
        _between(found.low, found.high, ".3g"),
        known(lambda value: f"{value:.2f}", times[0]),
        _between(*times[1:], ".2f"),
        _bound(found.bound_per_s),
        table.percent(found.share_of_bound) if found.share_of_bound > 0 else "-",
        "yes" if found.stable else "no",
    ]


def _figure_row(found: Capacity) -> list[str]:
    return [
        found.policy,
        known(table.duration, found.p99_ttft_s),
        known(table.duration, found.p99_latency_s),
        known(table.percent, found.stalled_over_10_s),
        known(table.percent, found.rejected),
        known(table.count, found.saturation_tokens_per_s),
    ]


def _bound(rate_per_s: float) -> str:
    if math.isnan(rate_per_s):
        return "-"
    return f"{rate_per_s:.3g}" if math.isfinite(rate_per_s) else "none"


def _between(low: float, high: float, digits: str) -> str:
    return "-" if math.isnan(low) else f"{low:{digits}}-{high:{digits}}"
