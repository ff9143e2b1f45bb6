"""Parts of the page: a figure with its sentence and its numbers, tables, legends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from aptsched.report.page.marks import Ink, swatch

MAX_ROWS = 32  # of the numbers of a figure over time


@dataclass(frozen=True)
class Numbers:
    """A table: its columns, and rows of text or numbers (None: nothing is known)."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes
    ----------
    title : str
    reads : str
        What to read from it, with units.
    drawn : str
        HTML.
    numbers : Numbers
    is_wide : bool
        Whether it takes the whole width of the page.
    """

    title: str
    reads: str
    drawn: str
    numbers: Numbers
    is_wide: bool = False


def figure_html(figure: Figure) -> str:
    """The figure with its title, its sentence and its numbers."""
    css = "figure wide" if figure.is_wide else "figure"
    numbers = f"<details><summary>its numbers</summary>{table_html(figure.numbers, figure.title)}</details>"
    caption = f"<figcaption><p>{escape(figure.reads)}</p>{numbers}</figcaption>"
    return f'<figure class="{css}"><h3>{escape(figure.title)}</h3>{figure.drawn}{caption}</figure>'


def table_html(numbers: Numbers, caption: str) -> str:
    """A table that scrolls by itself where it is wider than the page."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in numbers.columns)
    body = "".join(_row(row) for row in numbers.rows)
    note = f"<p>{escape(numbers.note)}</p>" if numbers.note else ""
    inner = f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    region = f'class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"'
    return f"{note}<div {region}><table>{inner}</table></div>"


def legend_html(inks: Mapping[str, Ink]) -> str:
    """Who is drawn how."""
    names = (f"<li>{swatch(ink)}{escape(label)}</li>" for label, ink in inks.items())
    return f'<ul class="legend">{"".join(names)}</ul>'


def thinned(rows: Sequence[Sequence[Any]]) -> tuple[list[Sequence[Any]], str]:
    """At most `MAX_ROWS` rows, evenly spread, and a note that says so."""
    step = -(-len(rows) // MAX_ROWS) or 1
    note = f"Every {step}th of {len(rows)} points; results.json has all." if step > 1 else ""
    return list(rows[::step]), note


def number(value: Any) -> str:
    """A number to four digits; nothing where it is not known."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def share(value: float) -> str:
    """A share in percent; all and none only where it is all or none."""
    return f"{value * 100:.4g}%"


def _row(row: Sequence[Any]) -> str:
    first, *others = map(number, row)
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
    return f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'
