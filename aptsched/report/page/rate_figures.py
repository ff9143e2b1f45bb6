"""Figures over the rate of arrivals: who attains, first tokens, throughput."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aptsched.report.page.chart import Drawing, Line, Span, draw
from aptsched.report.page.marks import Ink
from aptsched.report.page.parts import Figure, Numbers, share
from aptsched.report.page.scales import Axis
from aptsched.report.page.stored import StoredRun, StoredStudy

RATE = Axis("requests a second", is_padded=True)
FAR = 1.3  # times the highest rate of the runs: a bound beyond is written at the edge
SHARE = Axis("share of requests", low=0.0, high=1.0, text=lambda value: f"{value * 100:g}%")
Inks = Mapping[str, Ink]


def share_axis(shares: Sequence[float]) -> Axis:
    """The axis of shares, from a round one below the least on."""
    return replace(SHARE, low=max(math.floor(min(shares, default=0.0) * 10 - 0.5) / 10, 0.0))


def by_label(runs: Sequence[StoredRun]) -> dict[str, list[StoredRun]]:
    """The runs of each series, by rate; those whose requests come all at once have none and are left out."""
    found: dict[str, list[StoredRun]] = {}
    for run in sorted((run for run in runs if run.rate_per_s is not None), key=lambda run: run.rate_per_s or 0.0):
        found.setdefault(run.label, []).append(run)
    return found


def over_rates(
    runs: Sequence[StoredRun],
    inks: Inks,
    title: str,
    reads: str,
    y: Axis,
    of: Callable[[StoredRun], float | None],
    levels: Sequence[float] = (),
) -> Figure:
    """A value of each run over its rate; hollow markers are of runs that were not stable."""
    lines, rows = list[Line](), list[tuple[Any, ...]]()
    for label, series in by_label(runs).items():
        known = [(run.rate_per_s or 0.0, value, run) for run in series if (value := of(run)) is not None]
        hollow = frozenset(at for at, (_, _, run) in enumerate(known) if run.summary["stable"] is False)
        lines.append(Line(label, inks[label], [(rate, value) for rate, value, _ in known], hollow=hollow))
        rows += [(label, rate, y.text(value), run.summary["stable"]) for rate, value, run in known]
    marked = [(level, share(level)) for level in levels]
    drawing = Drawing(title, RATE, y, lines, levels=marked)
    return Figure(title, reads, draw(drawing), Numbers(("policy", "rate, 1/s", y.label, "stable"), rows))


def run_figures(runs: Sequence[StoredRun], inks: Inks) -> Iterator[Figure]:
    """The figures over rates of studies of runs."""
    yield over_rates(
        runs,
        inks,
        "Attainment over the rate",
        "The share of requests that got every token by its deadline, at each rate that was run. Further right at the "
        "same height is better; a hollow marker is a run that was not stable, where the queue grew.",
        share_axis([run.summary["attained"] for run in runs]),
        lambda run: run.summary["attained"],
        levels=(0.9, 0.99),
    )
    yield over_rates(
        runs,
        inks,
        "Time to first token, P99",
        "Of 100 requests, 99 got their first token within so many seconds of their arrival. The axis is logarithmic.",
        Axis("seconds", is_log=True),
        lambda run: run.summary["ttft"]["p99_s"],
    )
    yield over_rates(
        runs,
        inks,
        "Stalls",
        "The share of requests that waited longer than 2 s between two of their tokens. Lower is better.",
        Axis("share of requests", low=0.0, text=share),
        lambda run: run.summary["stalled_over_2_s"],
    )
    yield _throughput(runs, inks)


def _throughput(runs: Sequence[StoredRun], inks: Inks) -> Figure:
    lines, rows = list[Line](), list[tuple[Any, ...]]()
    for label, series in by_label(runs).items():
        known = [run for run in series if run.summary["tbt"]["median_s"] and run.summary["tokens_per_s"] is not None]
        points = [(1 / run.summary["tbt"]["median_s"], run.summary["tokens_per_s"] / run.num_gpus) for run in known]
        hollow = frozenset(at for at, run in enumerate(known) if run.summary["stable"] is False)
        lines.append(Line(label, inks[label], points, hollow=hollow))
        rows += [(label, run.rate_per_s, x, y) for run, (x, y) in zip(known, points, strict=True)]
    x, y = Axis("tokens a second, of a user", is_padded=True), Axis("tokens a second, per GPU", low=0.0)
    return Figure(
        "Throughput against speed",
        "Output tokens a second of each GPU, over the tokens a second that one user sees (1 over the median time "
        "between tokens); along a line the rate changes. Further up and to the right is better.",
        draw(Drawing("throughput against speed", x, y, lines)),
        Numbers(("policy", "rate, 1/s", x.label, y.label), rows),
    )


def capacity_figures(study: StoredStudy, inks: Inks) -> Iterator[Figure]:
    """Attainment over the rate of a search, in each setting under each pair of objectives."""
    rows: Sequence[dict[str, Any]] = study.document["capacities"]
    for setting, slo in dict.fromkeys((row["setting"], row["slo"]) for row in rows):
        mine = [row for row in rows if (row["setting"], row["slo"]) == (setting, slo)]
        probes = [p for p in study.document["probes"] if (p["setting"], p["slo"]) == (setting, slo)]
        yield _found(f"What holds: {setting}, {slo}", mine, probes, inks)


def _found(title: str, found: Sequence[dict[str, Any]], probes: Sequence[dict[str, Any]], inks: Inks) -> Figure:
    lines, spans, bounds = list[Line](), list[Span](), list[tuple[Ink, float, str]]()
    for policy in dict.fromkeys(row["policy"] for row in found):
        tried = sorted(
            (
                (p["rate_per_s"], p["attained"], p["stable"])
                for p in probes
                if p["policy"] == policy and p["attained"] is not None
            ),
            key=lambda point: point[0],
        )
        hollow = frozenset(at for at, (_, _, is_stable) in enumerate(tried) if is_stable is False)
        lines.append(Line(policy, inks[policy], [(x, y) for x, y, _ in tried], is_joined=False, hollow=hollow))
        held = [row for row in found if row["policy"] == policy]
        for row in held:
            if (rate := row["rate_per_s"]) is not None:
                low, high = row["low"] or rate, row["high"] or rate
                said = f"{policy} holds {share(row['level'])} at {rate:.3g} a second ({low:.3g} to {high:.3g})"
                spans.append(Span(inks[policy], row["level"], low, rate, high, said))
        if held and held[-1]["bound_per_s"] is not None:
            bound = held[-1]["bound_per_s"]
            bounds.append((inks[policy], bound, f"no policy with the forms of {policy} passes {bound:.3g} a second"))
    levels = [(level, share(level)) for level in dict.fromkeys(row["level"] for row in found)]
    most = max((x for line in lines for x, _ in line.points), default=1.0)
    least = min((x for line in lines for x, _ in line.points), default=0.0)
    y = share_axis([share for line in lines for _, share in line.points])
    drawing = Drawing(title, replace(RATE, low=least, high=most * FAR), y, lines, spans, levels, bounds=bounds)
    names = ("policy", "level", "rate_per_s", "low", "high", "bound_per_s", "share_of_bound", "stable")
    heads = ("policy", "level", "holds, 1/s", "low", "high", "bound, 1/s", "share of bound", "stable")
    return Figure(
        title,
        "Each marker is a run of a seed at a rate; hollow ones were not stable. The bars on the levels are the highest "
        "rates that hold, with their 95% intervals. No policy passes the dotted line, or the bound at the right "
        "edge, of its colour.",
        draw(drawing),
        Numbers(heads, [[row[name] for name in names] for row in found]),
    )
