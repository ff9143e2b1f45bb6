"""Tables of at most 80 columns, coloured on a terminal, and how numbers are written in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

SMALLEST_GAP = 1e-9  # solvers that work in floats agree to this; what is smaller says nothing


@dataclass(frozen=True)
class Column:
    """A column, `min_width` wide at least; neighbours of the same group share a heading above theirs."""

    name: str
    group: str = ""
    left: bool = False
    min_width: int = 0


@dataclass(frozen=True)
class Section:
    """Rows under one title."""

    title: str
    rows: Sequence[Sequence[str]]


def gap(value: float | None) -> str:
    """A share of the optimum, in six characters at most: 0, <1e-9, 6.1e-3; a dash where it is not known."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if value < SMALLEST_GAP:
        return "<1e-9"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def duration(seconds: float) -> str:
    """Seconds in six characters at most: 0.21ms, 12.3ms, 1.02s, 240s."""
    unit, number = ("s", seconds) if seconds >= 0.9995 else ("ms", seconds * 1e3)
    places = max(0, 2 - math.floor(math.log10(number))) if number >= 1 else 2
    return f"{number:.{places}f}{unit}"


def percent(share: float) -> str:
    """A share in whole percent, 100% only where it is all and 0% only where it is none."""
    rounded = round(share * 100)
    if rounded == 100 and share < 1:
        return "99%"
    return "1%" if rounded == 0 and share > 0 else f"{rounded}%"


def show(columns: Sequence[Column], sections: Sequence[Section], notes: Sequence[str], file: TextIO) -> None:
    """Write the table, in colours where the file is a terminal."""
    lines = _styled_lines(columns, sections, notes)
    if not file.isatty():
        file.write("".join(f"{line}\n" for _, line in lines))
        return
    from rich.console import Console

    console = Console(file=file)
    for style, line in lines:
        console.print(line, style=style or None, markup=False, highlight=False, soft_wrap=True)


def _styled_lines(
    columns: Sequence[Column], sections: Sequence[Section], notes: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """A line of groups, a line of names, a title over each section, and the notes below; with the style of each."""
    rows = [row for section in sections for row in section.rows]
    cells = ([column.name, *(row[i] for row in rows)] for i, column in enumerate(columns))
    widths = [max(column.min_width, *map(len, cell)) for column, cell in zip(columns, cells, strict=True)]
    yield "bold", _groups(columns, widths)
    yield "bold", _line(columns, widths, [column.name for column in columns])
    for section in sections:
        yield "", ""
        yield "bold cyan", section.title
        yield from (("", _line(columns, widths, row)) for row in section.rows)
    yield "", ""
    yield from (("dim", note) for note in notes)


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    padded = (
        cell.ljust(width) if column.left else cell.rjust(width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    )
    return " ".join(padded).rstrip()


def _groups(columns: Sequence[Column], widths: Sequence[int]) -> str:
    line, names, span = [], [column.group for column in columns], 0
    for i, width in enumerate(widths):
        span += width + (1 if span else 0)
        if i + 1 == len(names) or names[i + 1] != names[i]:
            line.append(names[i].center(span))
            span = 0
    return " ".join(line).rstrip()
