"""What of SVG the figures are made of: text, paths, markers; colours are those of the style sheet, by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

NUM_COLOURS = 8
DASHES = ("", "6 3", "2 2", "8 3 2 3", "10 4", "4 2 1 2")
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "plus")


@dataclass(frozen=True)
class Ink:
    """How a series is drawn in every figure: the number of its colour, its dashes, and the shape of its markers."""

    colour: int
    dash: int
    shape: int

    @property
    def css(self) -> str:
        """The class of its colour."""
        return f"c{self.colour % NUM_COLOURS}"

    @property
    def dashes(self) -> str:
        """The attribute for its lines."""
        pattern = DASHES[self.dash % len(DASHES)]
        return f' stroke-dasharray="{pattern}"' if pattern else ""


def px(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, said: str, anchor: str = "middle", more: str = "") -> str:
    """Text at a point."""
    return f'<text x="{px(x)}" y="{px(y)}" text-anchor="{anchor}"{more}>{escape(said)}</text>'


def rule(x0: float, y0: float, x1: float, y1: float, css: str) -> str:
    """A straight line."""
    return f'<path class="{css}" d="M{px(x0)} {px(y0)}L{px(x1)} {px(y1)}"/>'


def polyline(points: Iterable[tuple[float, float]], ink: Ink, title: str) -> str:
    """A line through points, with the name that is shown where the pointer rests on it."""
    path = "L".join(f"{px(x)} {px(y)}" for x, y in points)
    return f'<path class="line {ink.css}"{ink.dashes} d="M{path}"><title>{escape(title)}</title></path>'


def marker(x: float, y: float, ink: Ink, title: str, is_hollow: bool = False) -> str:
    """A marker of the series' shape; hollow ones are told apart in the figure's sentence."""
    css = f"mark {ink.css}{' hollow' if is_hollow else ''}"
    return (
        f'<path class="{css}" d="{_shape(x, y, SHAPES[ink.shape % len(SHAPES)])}"><title>{escape(title)}</title></path>'
    )


def _shape(x: float, y: float, shape: str) -> str:
    r = 4.0
    if shape == "circle":
        return f"M{px(x - r)} {px(y)}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    corners: dict[str, Sequence[tuple[float, float]]] = {
        "square": ((-r, -r), (r, -r), (r, r), (-r, r)),
        "triangle": ((0, -r - 1), (r + 1, r), (-r - 1, r)),
        "diamond": ((0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)),
        "cross": ((-r, -r), (0, -1), (r, -r), (1, 0), (r, r), (0, 1), (-r, r), (-1, 0)),
        "plus": (
            (-1, -r),
            (1, -r),
            (1, -1),
            (r, -1),
            (r, 1),
            (1, 1),
            (1, r),
            (-1, r),
            (-1, 1),
            (-r, 1),
            (-r, -1),
            (-1, -1),
        ),
    }
    return "M" + "L".join(f"{px(x + dx)} {px(y + dy)}" for dx, dy in corners[shape]) + "Z"


def swatch(ink: Ink) -> str:
    """The piece of line with a marker that stands before a name in a legend."""
    line = f'<path class="line {ink.css}"{ink.dashes} d="M0 7L30 7"/>'
    return f'<svg class="swatch" viewBox="0 0 30 14" aria-hidden="true">{line}{marker(15, 7, ink, "")}</svg>'
