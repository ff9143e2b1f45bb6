"""Figures over the time of a run: memory by form, queue, certified gap, time of a decision, and what requests did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aptsched.report.page import gantt
from aptsched.report.page.chart import Drawing, Line, draw
from aptsched.report.page.marks import Ink
from aptsched.report.page.parts import Figure, Numbers, thinned
from aptsched.report.page.scales import Axis
from aptsched.report.page.stored import StoredRun

TIME = Axis("seconds since the start of the run", low=0.0)
Inks = Mapping[str, Ink]
Of = Callable[[StoredRun], Sequence[float | None]]


def time_figures(runs: Sequence[StoredRun], inks: Inks) -> Iterator[Figure]:
    """The figures over time of the runs at one rate."""
    for run in runs:
        yield _memory(run)
    yield _over_time(
        runs,
        inks,
        "Queue",
        Axis("requests", low=0.0),
        "Requests that have no cache and wait. A line that keeps rising is of a rate that is not sustained.",
        lambda run: [point[2 + len(run.forms)] for point in run.timeline["points"]],
    )
    yield _over_time(
        runs,
        inks,
        "Certified gap",
        Axis("share of the optimum", low=0.0, text="{:.3g}".format),
        "By how much, at most, a decision fell short of the best possible batch, as its certificate proves; the "
        "largest of each point's iterations. Policies that solve no problem have no line.",
        lambda run: run.timeline["gap"],
    )
    yield _over_time(
        runs,
        inks,
        "Time of scheduling an iteration",
        Axis("milliseconds", low=0.0, text="{:.3g}".format),
        "The time of an iteration in which the model does not run: the policy's decision and what is around it. Live "
        "it was measured; in a simulation it is what that assumes.",
        lambda run: [seconds * 1e3 for seconds in run.timeline["scheduling_s"]],
    )


def phases_figure(run: StoredRun) -> Figure:
    """What some requests of a run did when."""
    title = f"Requests: {run.name}"
    rows = [(r["request_id"], r["start_s"][0], *gantt.seconds_by_phase(r).values(), r["end_s"]) for r in run.phases]
    heads = ("request", "arrived, s", *(f"{name}, s" for name in gantt.PHASES), "ended, s")
    few = f"{len(run.phases)} of {run.summary['num_requests']} requests, evenly spread" if run.phases else "no requests"
    return Figure(
        title,
        f"A row for each request ({few}), from its arrival on: long grey is waiting, red is a "
        "cache that is kept while no token comes. Zoom with the buttons or Ctrl and the wheel, move by dragging.",
        gantt.draw(run.phases, title),
        Numbers(heads, rows),
        is_wide=True,
    )


def _memory(run: StoredRun) -> Figure:
    points, forms = run.timeline["points"], run.forms
    edges = [point[0] for point in points] + [point[1] for point in points[-1:]]
    areas = [(form, f"form-{form}", [point[2 + at] for point in points]) for at, form in enumerate(forms)]
    areas = [area for area in areas if any(area[2])]
    pool = run.summary["num_blocks"]
    title = f"Memory by form: {run.label}"
    drawing = Drawing(
        title, TIME, Axis("blocks", low=0.0, high=float(pool)), levels=[(float(pool), "")], areas=areas, area_x=edges
    )
    rows, note = thinned([point[: 2 + len(forms)] for point in points])
    keys = "".join(f'<li><span class="key form-{form}"></span>{form}</li>' for form, _, _ in areas)
    return Figure(
        title,
        f"Blocks of the cache that requests hold, of {pool}. What is above the area is free.",
        f'{draw(drawing)}<ul class="legend">{keys}</ul>',
        Numbers(("from, s", "to, s", *(f"{form}, blocks" for form in forms)), rows, note),
    )


def _over_time(runs: Sequence[StoredRun], inks: Inks, title: str, y: Axis, reads: str, of: Of) -> Figure:
    lines, rows = list[Line](), list[Sequence[Any]]()
    notes = set[str]()
    for run in runs:
        values = zip(run.timeline["points"], of(run), strict=True)
        points = [(point[0], value) for point, value in values if value is not None]
        if points:
            lines.append(Line(run.label, inks[run.label], points, is_stepped=True, has_marks=False))
        few, note = thinned([(run.label, *point) for point in points])
        rows += few
        notes.add(note)
    drawing = Drawing(title, TIME, y, lines)
    note = " ".join(sorted(notes - {""}))
    return Figure(title, reads, draw(drawing), Numbers(("policy", "from, s", y.label), rows, note))
