"""The tables of the serving study: attainment and latencies, use of the engine, and the highest rates that hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from aptsched.metrics.service import LEVELS, OF_TENANTS, Metrics
from aptsched.metrics.stability import highest_rate
from aptsched.report import table
from aptsched.report.table import Column, Section
from aptsched.scheduling.forms import FormEntry, shown_forms
from aptsched.scheduling.record import Outcome
from aptsched.support.plural import how_many
from engine.calibration.pace import is_off
from engine.study.replay import Replay
from engine.study.served_run import FailedRun, ServedRun

LATENCY = (
    Column("policy", left=True),
    Column("attained", min_width=8),
    Column("stable", min_width=6),
    *(Column(name, "TTFT", min_width=6) for name in ("median", "p90", "p99")),
    *(Column(name, "TBT", min_width=6) for name in ("median", "p90", "p99")),
    Column("goodput", min_width=7),
)
MEASURES = (
    Column("policy", left=True),
    Column("TTFT"),
    *(Column(name, "and own TBT") for name in ("P99", "mean", "max")),
    Column("fluidity"),
    *(Column(name, "stalled") for name in (">2s", ">10s")),
    Column("max TBT"),
    *(Column(name) for name in ("starved", "rejected")),
)
RATES = (
    Column("policy", left=True),
    *(Column(f"{level:.0%}", "highest rate that holds", min_width=11) for level in LEVELS),
)


@dataclass(frozen=True)
class Held:
    """What a policy attained at each rate, rising, and whether it was stable there."""

    rates_per_s: list[float]
    attained: list[float]
    stable: list[bool | None]


def latency_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """Attainment, TTFT, TBT and goodput of each policy, a section for each rate."""
    return sections(runs, _latency_row)


def measure_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """The rows of `MEASURES`: what others hold requests against, and what no share shows."""
    return sections(runs, _measure_row)


MAX_TENANTS = 20  # that a table shows of a run
TENANTS = (
    Column("policy", left=True),
    Column("tenant", left=True),
    *(Column(name) for name in ("requests", "attained", "TTFT", "max TBT", "rejected", "starved")),
)


def tenant_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """Shares of each tenant's requests, where requests have tenants, by rate; of many those that attained least."""
    groups: dict[str, list[list[str]]] = {}
    for run in runs:
        total, shown = len(run.by_tenant), list(run.by_tenant.items())
        if total > MAX_TENANTS:
            shown = sorted(shown, key=lambda each: (each[1].attained, -each[1].num_requests))[:MAX_TENANTS]
        few = f": of {table.count(total)} the {MAX_TENANTS} that attained least" if total > MAX_TENANTS else ""
        for tenant, metrics in shown:
            shares = (known(table.percent, getattr(metrics, name)) for name in OF_TENANTS)
            row = [run.policy, tenant, table.count(metrics.num_requests), *shares]
            groups.setdefault(f"by tenant{_at(run)}{few}", []).append(row)
    return [Section(title, rows) for title, rows in groups.items()]


def engine_columns(runs: Sequence[ServedRun]) -> tuple[Column, ...]:
    """Columns of throughput, preemptions, swaps, promotions, memory by form, certified gaps and scheduling time."""
    return (
        Column("policy", left=True),
        Column("tok/s"),
        *(Column(name, "requests") for name in ("preempt", "swap", "promote")),
        *(Column(form.label, "blocks", min_width=4) for form in _forms(runs)),
        *(Column(name, "certified gap", min_width=6) for name in ("mean", "worst")),
        Column("sched.", min_width=6),
    )


def engine_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """The rows of `engine_columns`."""
    return sections(runs, partial(_engine_row, forms=_forms(runs)))


def _forms(runs: Sequence[ServedRun]) -> list[FormEntry]:
    """The forms that any of the runs shows."""
    return shown_forms([sum(held) for held in zip(*(run.usage.block_s_by_form for run in runs), strict=True)])


def rate_sections(runs: Sequence[ServedRun]) -> list[Section]:
    """The highest rate at which each policy holds each level, where there are several rates; else nothing."""
    rows = [
        [name, *(_rate(held, level) for level in LEVELS)]
        for name, held in ((policy, held_of(runs, policy)) for policy in names(runs))
        if len(held.rates_per_s) > 1
    ]
    return [Section("attained and stable, by straight lines between the rates", rows)] if rows else []


def notes(runs: Sequence[ServedRun], replay: Replay, notices: Sequence[str] = ()) -> list[str]:
    """Lines below the tables that explain them; `notices` are those of the document."""
    slo, num_own = replay.slo, replay.own.num_own_slo
    own = f" (of {num_own} of {len(replay)} requests as they say)" if num_own else ""
    lines = [
        "attained: share of all requests that finished with every token by its deadline, the first one within "
        f"{slo.ttft_s:g} s, each further one {slo.tpot_s:g} s later{own}. stable: 99% of the admitted requests end "
        "within 60 s + 3 times their time alone. Of the same requests, beside it: TTFT within its objective, and also "
        "the P99, mean or largest of the own TBT within the TPOT; Etalon's fluidity index; a gap over 2 or 10 s. "
        "starved: share whose first token came after 10 times its objective, or never. goodput: requests that attain. "
        "blocks: share of the pool's block-time in that form. sched.: share of the iterations' time that scheduling "
        "takes. certified gap: a share of the optimum.",
    ]
    if any(run.alone_s is None for run in runs):
        lines.append("Whether runs are stable is not known without a calibration of this model on this device.")
    lines += notices
    return lines + _rejections(runs)


def notices(runs: Sequence[ServedRun], failed: Sequence[FailedRun] = ()) -> list[str]:
    """Notices about runs that failed, left requests unfinished, or whose iterations were not as calibrated."""
    return [*_off_pace(runs), *_unfinished(runs), *(f"{run.policy}{_at(run)} failed: {run.reason}" for run in failed)]


def _unfinished(runs: Sequence[ServedRun]) -> list[str]:
    """How many requests are unfinished, and why."""
    lines = []
    for run in runs:
        served = run.metrics
        if served.num_finished + served.num_rejected == served.num_requests:
            continue
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
        if count := run.metrics.num_rejected:
            first = next(record for record in run.records if record.outcome is Outcome.REJECTED)
            lines.append(f"{run.policy}: {count} rejected, first request {first.request_id}: {first.reason}")
    return lines


def names(runs: Sequence[ServedRun]) -> list[str]:
    """The names of the policies, in order."""
    return list(dict.fromkeys(run.policy for run in runs))


def held_of(runs: Sequence[ServedRun], policy: str) -> Held:
    """What a policy attained at the rates at which it served all requests."""
    of_policy = [run for run in runs if run.policy == policy and run.complete and not math.isnan(run.rate_per_s)]
    by_rate = {run.rate_per_s: run.metrics for run in sorted(of_policy, key=lambda run: run.rate_per_s)}
    return Held(list(by_rate), [each.attained for each in by_rate.values()], [each.stable for each in by_rate.values()])


def sections(runs: Sequence[ServedRun], row: Callable[[ServedRun, Metrics], list[str]]) -> list[Section]:
    """The rows of runs, by rate, each behind its policy's name."""
    groups: dict[str, list[list[str]]] = {}
    for run in runs:
        count = len(run.records)
        title = f"{how_many(count, 'request')}{_at(run)}"
        groups.setdefault(title, []).append([run.policy, *row(run, run.metrics)])
    return [Section(title, rows) for title, rows in groups.items()]


def _latency_row(run: ServedRun, metrics: Metrics) -> list[str]:
    seconds = [value for part in (metrics.ttft, metrics.tbt) for value in (part.median_s, part.p90_s, part.p99_s)]
    stable = {True: "yes", False: "no", None: "-"}[metrics.stable]
    goodput = _number(metrics.goodput_per_s, "/s")
    return [known(table.percent, metrics.attained), stable, *(known(table.duration, s) for s in seconds), goodput]


def _measure_row(run: ServedRun, metrics: Metrics) -> list[str]:
    shares = (metrics.attained_ttft, metrics.attained_p99_tbt, metrics.attained_mean_tbt, metrics.attained_max_tbt)
    return [
        *(known(table.percent, share) for share in shares),
        known(lambda fluidity: f"{fluidity:.3f}", metrics.fluidity),
        *(known(table.percent, share) for share in (metrics.stalled_over_2_s, metrics.stalled_over_10_s)),
        known(table.duration, metrics.max_tbt_s),
        *(known(table.percent, share) for share in (metrics.starved, metrics.rejected)),
    ]


def _engine_row(run: ServedRun, metrics: Metrics, forms: Sequence[FormEntry]) -> list[str]:
    usage = run.usage
    return [
        _number(metrics.tokens_per_s),
        table.count(metrics.num_preemptions),
        table.count(metrics.num_swap_outs),
        table.count(metrics.num_promotions),
        *(known(table.percent, usage.share_of(entry.form)) for entry in forms),
        table.gap(usage.gap_mean),
        table.gap(usage.gap_worst),
        "-" if math.isnan(usage.scheduling_share) else f"{usage.scheduling_share:.2%}",
    ]


def _rate(held: Held, level: float) -> str:
    rate = highest_rate(held.rates_per_s, held.attained, level, held.stable)
    if math.isnan(rate):
        return f"below {held.rates_per_s[0]:.3g}/s"
    if min(held.attained) < level:
        return f"{rate:.3g}/s"
    return f"{rate:.3g}/s" if False in held.stable else f"{rate:.3g}/s or more"


def _number(value: float, unit: str = "") -> str:
    if math.isnan(value):
        return "-"
    return (f"{value:.0e}" if 0 < value < 0.001 else f"{value:.3g}" if value < 100 else table.count(value)) + unit


def known(write: Callable[[float], str], value: float) -> str:
    """A figure as it is written, or a dash where there is none."""
    return "-" if math.isnan(value) else write(value)
