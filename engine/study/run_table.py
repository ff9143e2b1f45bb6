"""The tables of the serving study: latencies and attainment, use of the engine, and the highest rates that hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from aptsched.metrics.service import LEVELS, Metrics, highest_rate, summarise
from aptsched.report import table
from aptsched.report.table import Column, Section
from aptsched.scheduling.forms import FormEntry, shown_forms
from aptsched.scheduling.record import Outcome
from engine.calibration.pace import is_off
from engine.study.replay import Replay
from engine.study.serving import FailedRun, ServedRun

LATENCY = (
    Column("policy", left=True),
    *(Column(name, "TTFT", min_width=6) for name in ("median", "p90", "p99")),
    *(Column(name, "TBT", min_width=6) for name in ("median", "p90", "p99")),
    *(Column(name, "within SLO", min_width=4) for name in ("TTFT", "TBT", "both")),
    Column("goodput", min_width=7),
)
RATES = (
    Column("policy", left=True),
    *(Column(f"{level:.0%}", "highest rate that holds", min_width=11) for level in LEVELS),
)


def latency_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """TTFT, TBT, attainment and goodput of each policy, a section for each rate."""
    return _sections(runs, _latency_row)


def engine_columns(runs: Sequence[ServedRun]) -> tuple[Column, ...]:
    """Columns of throughput, preemptions, swaps, promotions, memory by form, certified gaps and scheduling time."""
    return (
        Column("policy", left=True),
        Column("tok/s"),
        *(Column(name, "requests") for name in ("preempt", "swap", "promote", "reject")),
        *(Column(form.label, "blocks", min_width=4) for form in _forms(runs)),
        *(Column(name, "certified gap", min_width=6) for name in ("mean", "worst")),
        Column("sched.", min_width=6),
    )


def engine_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """The rows of `engine_columns`."""
    return _sections(runs, partial(_engine_row, forms=_forms(runs)))


def _forms(runs: Sequence[ServedRun]) -> list[FormEntry]:
    """The forms that any of the runs shows."""
    return shown_forms([sum(held) for held in zip(*(run.usage.block_s_by_form for run in runs), strict=True)])


def rate_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """The highest rate at which each policy holds each level, where there are several rates; else nothing."""
    rows = [
        [name, *(_rate(*held, level) for level in LEVELS)]
        for name, held in ((policy, attained(runs, policy)) for policy in names(runs))
        if len(held[0]) > 1
    ]
    return [Section("both objectives, by straight lines between the rates", rows)] if rows else []


def notes(runs: Sequence[ServedRun], replay: Replay, notices: Sequence[str] = ()) -> list[str]:
    """Lines below the tables that explain them; `notices` are those of the document."""
    slo = replay.slo
    lines = [
        f"within SLO: share of all requests that finished with a TTFT of up to {slo.ttft_s:g} s, with the P99 of their "
        f"own TBT up to {slo.tpot_s:g} s, with both. goodput: requests with both. blocks: share of the pool's "
        "block-time in that form. sched.: share of the iterations' time that scheduling takes. certified gap: a share "
        "of the optimum.",
    ]
    lines += notices
    return lines + _rejections(runs)


def notices(runs: Sequence[ServedRun], failed: Sequence[FailedRun] = ()) -> list[str]:
    """Notices about runs that failed, left requests unfinished, or whose iterations were not as calibrated."""
    return [*_off_pace(runs), *_unfinished(runs), *(f"{run.policy}{_at(run)} failed: {run.reason}" for run in failed)]


def _unfinished(runs: Sequence[ServedRun]) -> list[str]:
    """How many requests are unfinished, and why."""
    lines = []
    for run in runs:
        left = sum(record.outcome is Outcome.UNFINISHED for record in run.records)
        if left:
            of = f"{len(run.records) - left} of {len(run.records)} requests had ended, {left} are unfinished"
            lines.append(f"{run.policy}{_at(run)}: {of}: {run.reason}")
    return lines


def _off_pace(runs: Sequence[ServedRun]) -> list[str]:
    """A line for each run whose iterations were off the calibration (`pace.is_off`), then one that explains it."""
    lines = [
        f"{run.policy}{_at(run)}: iterations took {run.pace:.2g} times what the calibration says"
        for run in runs
        if is_off(run.pace)
    ]
    means = (
        "Where iterations are not as calibrated, the machine was busy then or now: latencies say little of a policy."
    )
    return [*lines, means] if lines else []


def _at(run: ServedRun | FailedRun) -> str:
    return "" if math.isnan(run.rate_per_s) else f", {run.rate_per_s:.3g} a second"


def _rejections(runs: Sequence[ServedRun]) -> list[str]:
    """For each policy how many requests were rejected, and why the first one was."""
    lines = []
    for run in runs:
        rejected = [record for record in run.records if record.outcome is Outcome.REJECTED]
        if rejected:
            first = rejected[0]
            lines.append(f"{run.policy}: {len(rejected)} rejected, first request {first.request_id}: {first.reason}")
    return lines


def names(runs: Sequence[ServedRun]) -> list[str]:
    """The names of the policies, in order."""
    return list(dict.fromkeys(run.policy for run in runs))


def attained(runs: Sequence[ServedRun], policy: str) -> tuple[list[float], list[float]]:
    """The rates at which the policy served all requests, rising, and the share within both objectives at each."""
    by_rate = {
        run.rate_per_s: summarise(run.records).attained
        for run in runs
        if run.policy == policy and run.complete and not math.isnan(run.rate_per_s)
    }
    rates = sorted(by_rate)
    return rates, [by_rate[rate] for rate in rates]


def _sections(runs: Sequence[ServedRun], row: Callable[[ServedRun, Metrics], list[str]]) -> list[Section]:
    groups: dict[str, list[list[str]]] = {}
    for run in runs:
        count = len(run.records)
        title = f"{count} request{'s' if count > 1 else ''}{_at(run)}"
        groups.setdefault(title, []).append([run.policy, *row(run, summarise(run.records))])
    return [Section(title, rows) for title, rows in groups.items()]


def _latency_row(run: ServedRun, metrics: Metrics) -> list[str]:
    seconds = [value for part in (metrics.ttft, metrics.tbt) for value in (part.median_s, part.p90_s, part.p99_s)]
    shares = [metrics.attained_ttft, metrics.attained_tbt, metrics.attained]
    goodput = _number(metrics.goodput_per_s, "/s")
    return [*(_known(table.duration, s) for s in seconds), *(_known(table.percent, s) for s in shares), goodput]


def _engine_row(run: ServedRun, metrics: Metrics, forms: Sequence[FormEntry]) -> list[str]:
    usage = run.usage
    return [
        _number(metrics.tokens_per_s),
        table.count(metrics.num_preemptions),
        table.count(metrics.num_swap_outs),
        table.count(metrics.num_promotions),
        table.count(metrics.num_rejected),
        *(_known(table.percent, usage.share_of(entry.form)) for entry in forms),
        table.gap(usage.gap_mean),
        table.gap(usage.gap_worst),
        "-" if math.isnan(usage.scheduling_share) else f"{usage.scheduling_share:.2%}",
    ]


def _rate(rates: Sequence[float], shares: Sequence[float], level: float) -> str:
    rate = highest_rate(rates, shares, level)
    if math.isnan(rate):
        return f"below {rates[0]:.3g}/s"
    return f"{rate:.3g}/s" if min(shares) < level else f"{rate:.3g}/s or more"


def _number(value: float, unit: str = "") -> str:
    if math.isnan(value):
        return "-"
    return (f"{value:.0e}" if 0 < value < 0.001 else f"{value:.3g}" if value < 100 else table.count(value)) + unit


def _known(write: Callable[[float], str], value: float) -> str:
    return "-" if math.isnan(value) else write(value)
