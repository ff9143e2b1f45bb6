"""Figures of single requests: how their times are spread over all requests of a run."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aptsched.report.page.chart import Drawing, Line, draw
from aptsched.report.page.marks import Ink
from aptsched.report.page.parts import Figure, Numbers
from aptsched.report.page.rate_figures import SHARE
from aptsched.report.page.scales import Axis
from aptsched.report.page.stored import StoredRun

MAX_POINTS = 120
SHOWN = (0.25, 0.5, 0.75, 0.9, 0.99)
LEAST_S = 1e-3  # where logarithmic axes begin
Inks = Mapping[str, Ink]


def spread(values: Sequence[float], num_requests: int) -> list[tuple[float, float]]:
    """Points (value, share of all requests that have at most that), at most `MAX_POINTS`, the last one among them."""
    ordered = sorted(values)
    step, first = -(-len(ordered) // MAX_POINTS) or 1, max(bisect_right(ordered, LEAST_S) - 1, 0)
    places = [*range(first, len(ordered), step), len(ordered) - 1] if ordered else []
    return [(max(ordered[at], LEAST_S), (at + 1) / num_requests) for at in dict.fromkeys(places)]


def request_figures(runs: Sequence[StoredRun], inks: Inks) -> Iterator[Figure]:
    """The spread of first tokens, lateness and longest gaps over the requests of some runs."""
    yield _spread_of(
        runs,
        inks,
        "Time to first token",
        "ttft_s",
        "The share of all requests that had their first token within so many seconds. A curve that ends below 100% is "
        "of a run in which others were rejected or never served.",
    )
    yield _spread_of(
        runs,
        inks,
        "Lateness",
        "max_lateness_s",
        "The share of all requests none of whose tokens came later than so many seconds after its deadline. Where a "
        "curve begins, at the left, is the share that was never late.",
    )
    yield _spread_of(
        runs,
        inks,
        "Longest gap between tokens",
        "max_tbt_s",
        "The share of all requests whose longest wait for a further token was at most so many seconds. Beyond 2 s and "
        "10 s, at the thin lines, a reader takes it for a stall.",
        uprights=((2.0, "2 s"), (10.0, "10 s")),
        otherwise=lambda row: 0.0 if row["num_tokens"] == 1 else None,
    )


def _spread_of(
    runs: Sequence[StoredRun],
    inks: Inks,
    title: str,
    column: str,
    reads: str,
    uprights: Sequence[tuple[float, str]] = (),
    otherwise: Callable[[dict[str, Any]], float | None] = lambda row: None,
) -> Figure:
    lines, rows = list[Line](), list[list[Any]]()
    for run in runs:
        finished = [row for row in run.rows if row["outcome"] == "finished"]
        found = [otherwise(row) if row[column] is None else row[column] for row in finished]
        values = sorted(value for value in found if value is not None)
        if values:
            points = spread(values, len(run.rows))
            lines.append(Line(run.label, inks[run.label], points, is_stepped=True, has_marks=False))
        at = [math.ceil(part * len(run.rows)) - 1 for part in SHOWN]
        rows.append([run.label, *(values[place] if 0 <= place < len(values) else None for place in at)])
    drawing = Drawing(title, Axis("seconds", is_log=True), SHARE, lines, uprights=uprights)
    heads = ("policy", *(f"{part * 100:g}% within, s" for part in SHOWN))
    return Figure(title, reads, draw(drawing), Numbers(heads, rows))
