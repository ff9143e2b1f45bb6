"""Figures with two axes: lines over rates, times or values, and areas on top of one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from aptsched.report.page.marks import Ink, marker, polyline, px, rule, text
from aptsched.report.page.scales import Axis, Scale

WIDTH, HEIGHT = 360, 236
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 12, 40  # margins
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A series.

    Attributes
    ----------
    label : str
    ink : Ink
    points : sequence of (x, y)
    is_stepped : bool
        Whether a value stays until the next point.
    has_marks, is_joined : bool
        Whether points have markers, and are joined by a line.
    hollow : frozenset of int
        Points with a hollow marker.
    """

    label: str
    ink: Ink
    points: Sequence[Point]
    is_stepped: bool = False
    has_marks: bool = True
    is_joined: bool = True
    hollow: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Span:
    """An interval along the x axis at a height, and the value in it."""

    ink: Ink
    y: float
    low: float
    value: float
    high: float
    title: str


@dataclass(frozen=True)
class Drawing:
    """All that a chart shows.

    Attributes
    ----------
    title : str
        What it is of, for those who do not see it.
    x, y : Axis
    lines : sequence of Line
    spans : sequence of Span
    levels, uprights : sequence of (value, text)
        Thin lines across, at values of y and of x.
    bounds : sequence of (ink, value, text)
        Lines upwards, at values of x, in the colour of a series.
    areas : sequence of (label, css class, values)
        One on top of the other, over `area_x`, each value until the next.
    area_x : sequence of float
        One more than values.
    """

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line] = ()
    spans: Sequence[Span] = ()
    levels: Sequence[tuple[float, str]] = ()
    uprights: Sequence[tuple[float, str]] = ()
    bounds: Sequence[tuple[Ink, float, str]] = ()
    areas: Sequence[tuple[str, str, Sequence[float]]] = ()
    area_x: Sequence[float] = field(default=())


def draw(drawing: Drawing) -> str:
    """The chart as an SVG element, 360 pixels wide or as wide as its place."""
    points = [point for line in drawing.lines for point in line.points]
    across = [*(x for x, _ in points), *drawing.area_x]
    across += [value for span in drawing.spans for value in (span.low, span.high)]
    up = [*(y for _, y in points), *(value for value, _ in drawing.levels), *(span.y for span in drawing.spans)]
    x = drawing.x.scale(across, LEFT, WIDTH - RIGHT)
    y = drawing.y.scale(up, HEIGHT - BOTTOM, TOP)
    inner = [*_axes(drawing, x, y), *_areas(drawing, x, y), *_references(drawing, x, y)]
    inner += [part for line in drawing.lines for part in _line(drawing, line, x, y)]
    inner += [part for span in drawing.spans for part in _span(span, x, y)]
    label = f'role="img" aria-label="{escape(drawing.title)}"'
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" {label}>{"".join(inner)}</svg>'


def _axes(drawing: Drawing, x: Scale, y: Scale) -> Iterator[str]:
    for tick in y.ticks(5):
        yield rule(LEFT, y.px(tick), WIDTH - RIGHT, y.px(tick), "grid")
        yield text(LEFT - 5, y.px(tick) + 3.5, drawing.y.text(tick), "end")
    for tick in x.ticks(6):
        yield rule(x.px(tick), HEIGHT - BOTTOM, x.px(tick), HEIGHT - BOTTOM + 4, "axis")
        yield text(x.px(tick), HEIGHT - BOTTOM + 15, drawing.x.text(tick))
    yield rule(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, drawing.x.label)
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield text(10, middle, drawing.y.label, more=f' transform="rotate(-90 10 {px(middle)})"')


def _references(drawing: Drawing, x: Scale, y: Scale) -> Iterator[str]:
    for value, said in drawing.levels:
        yield rule(LEFT, y.px(value), WIDTH - RIGHT, y.px(value), "level")
        yield text(LEFT + 3, y.px(value) + 10, said, "start", ' class="small"')
    for value, said in drawing.uprights:
        if x.low < value < x.high:
            yield rule(x.px(value), TOP, x.px(value), HEIGHT - BOTTOM, "level")
            yield text(x.px(value) + 3, TOP + 8, said, "start", ' class="small"')
    beyond = 0
    for ink, value, said in drawing.bounds:
        if value > x.high:
            beyond += 1
            css = f' class="small fill-{ink.css}"'
            yield text(WIDTH - RIGHT - 2, HEIGHT - BOTTOM - 11 * beyond, f"bound {value:.3g} →", "end", css)
            continue
        at = px(x.px(value))
        path = f"M{at} {TOP}L{at} {HEIGHT - BOTTOM}"
        yield f'<path class="line {ink.css}" stroke-dasharray="1 3" d="{path}"><title>{escape(said)}</title></path>'


def _line(drawing: Drawing, line: Line, x: Scale, y: Scale) -> Iterator[str]:
    points = [(across, up) for across, up in line.points if (not x.is_log or across > 0) and (not y.is_log or up > 0)]
    at = [(x.px(across), y.px(up)) for across, up in points]
    if line.is_joined and len(at) > 1:
        yield polyline(_steps(at) if line.is_stepped else at, line.ink, line.label)
    for number, ((across, up), place) in enumerate(zip(points, at, strict=True) if line.has_marks else ()):
        said = f"{line.label}: {drawing.y.text(up)} at {drawing.x.text(across)}"
        yield marker(*place, line.ink, said, number in line.hollow)


def _steps(points: Sequence[Point]) -> Iterator[Point]:
    """The corners of a line that stays at each value until the next point."""
    last = points[0]
    yield last
    for x, y in points[1:]:
        if y != last[1]:
            yield x, last[1]
            yield x, y
            last = x, y
    yield points[-1][0], last[1]


def _span(span: Span, x: Scale, y: Scale) -> Iterator[str]:
    up = y.px(span.y)
    low, high = px(x.px(span.low)), px(x.px(span.high))
    ends = f"M{low} {px(up - 4)}L{low} {px(up + 4)}M{high} {px(up - 4)}L{high} {px(up + 4)}"
    yield f'<path class="interval {span.ink.css}" d="{ends}M{low} {px(up)}L{high} {px(up)}"/>'
    yield marker(x.px(span.value), up, span.ink, span.title)


def _areas(drawing: Drawing, x: Scale, y: Scale) -> Iterator[str]:
    base = [0.0] * max(len(drawing.area_x) - 1, 0)
    for label, css, values in drawing.areas:
        top = [below + value for below, value in zip(base, values, strict=True)]
        corners = list(_outline(drawing.area_x, top))
        back = list(_outline(drawing.area_x, base))[::-1]
        path = "L".join(f"{px(x.px(across))} {px(y.px(up))}" for across, up in (*corners, *back))
        yield f'<path class="area {css}" d="M{path}Z"><title>{escape(label)}</title></path>'
        base = top


def _outline(edges: Sequence[float], values: Sequence[float]) -> Iterator[Point]:
    for start, end, value in zip(edges, edges[1:], values, strict=False):
        yield start, value
        yield end, value
