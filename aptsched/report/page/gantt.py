"""The phases of requests, a row each, over time; the script of the page zooms it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from aptsched.report.page.scales import linear_ticks

PHASES = {
    "waiting": "waits without a cache",
    "prefill": "its prompt is computed",
    "decode": "yields tokens",
    "held": "has its cache, and no token for longer than its TPOT",
    "swapped": "its cache is on the host",
}
ROW, BAR = 10, 8  # units of a row, and of the bar in it
BUTTONS = (
    ("in", "+", "zoom in"),
    ("out", "\N{MINUS SIGN}", "zoom out"),
    ("left", "◀", "earlier"),
    ("right", "▶", "later"),
    ("all", "all", "whole run"),
)


def draw(requests: Sequence[dict[str, Any]], title: str) -> str:
    """The figure: buttons, the rows, and the times below them."""
    end_s = max((request["end_s"] for request in requests), default=1.0)
    rows = "".join(_row(number, request) for number, request in enumerate(requests))
    height = ROW * max(len(requests), 1)
    box = f'viewBox="0 0 {end_s:g} {height}" preserveAspectRatio="none"'
    drawn = f'<svg class="rows" {box} role="img" aria-label="{escape(title)}" style="height:{len(requests) * 5 + 4}px">'
    ticks = "".join(_tick(at, end_s) for at in linear_ticks(0, end_s, 5))
    buttons = "".join(
        f'<button type="button" data-do="{do}" aria-label="{said}" title="{said}">{sign}</button>'
        for do, sign, said in BUTTONS
    )
    controls = f'<div class="controls">{buttons}</div>'
    under = f'<div class="ticks" aria-hidden="true">{ticks}</div><p class="unit">seconds since the start of the run</p>'
    return f'<div class="gantt" data-end="{end_s:g}">{controls}{drawn}{rows}</svg>{under}</div>'


def legend() -> str:
    """What the colours of the phases mean."""
    names = (f'<li><span class="key {name}"></span><b>{name}</b>: {said}</li>' for name, said in PHASES.items())
    return f'<ul class="legend">{"".join(names)}</ul>'


def spans(request: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Phase, start and end of all that a request did."""
    times = [*request["start_s"], request["end_s"]]
    for phase, (start_s, end_s) in zip(request["phase"], pairwise(times), strict=True):
        yield phase, start_s, end_s


def seconds_by_phase(request: dict[str, Any]) -> dict[str, float]:
    """How long a request was in each phase."""
    found = dict.fromkeys(PHASES, 0.0)
    for phase, start_s, end_s in spans(request):
        found[phase] += end_s - start_s
    return found


def _row(number: int, request: dict[str, Any]) -> str:
    top, paths = number * ROW + (ROW - BAR) // 2, dict[str, list[str]]()
    for phase, start_s, end_s in spans(request):
        paths.setdefault(phase, []).append(f"M{start_s:.7g} {top}h{end_s - start_s:.4g}v{BAR}h{start_s - end_s:.4g}z")
    took = ", ".join(f"{phase} {spent:.3g} s" for phase, spent in seconds_by_phase(request).items() if spent)
    title = f"<title>request {request['request_id']}, arrived at {request['start_s'][0]:g} s: {took}</title>"
    bars = "".join(_path(phase, parts) for phase, parts in paths.items())
    return f"<g>{title}{bars}</g>"


def _path(phase: str, parts: Sequence[str]) -> str:
    all_parts = "".join(parts)
    return f'<path class="{phase}" d="{all_parts}"/>'


def _tick(at_s: float, end_s: float) -> str:
    return f'<span style="left:{at_s / end_s * 100:.3g}%">{at_s:g}</span>'
