"""Tables of at most 80 columns, coloured on a terminal, and how numbers are written in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from aptsched.support import text_lines

SMALLEST_GAP = 1e-9  # solvers that work in floats agree to this, so smaller gaps mean nothing
LEAST_TEXT = 24  # columns


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
    """Seconds in six characters at most, and a sign below 0: 0.21ms, 12.3ms, 1.02s, 240s, 2e+06s."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds >= 99999.5:
        return f"{seconds:.0e}s"
    unit, number = ("s", seconds) if seconds >= 0.9995 else ("ms", seconds * 1e3)
    places = max(0, 2 - math.floor(math.log10(number))) if number >= 1 else 2
    return f"{number:.{places}f}{unit}"


def short_duration(seconds: float) -> str:
    """The same with microseconds, where less than a millisecond counts: 41.1us, 2.58ms."""
    return f"{seconds * 1e6:.3g}us" if abs(seconds) < 0.9995e-3 else duration(seconds)


def count(number: float) -> str:
    """How many, in five characters at most: 12345, 123k, 1.2M, 12M."""
    if number < 99999.5:
        return f"{number:.0f}"
    for unit in "kMGT":
        number /= 1e3
        if number < 999.5:
            return f"{number:.0f}{unit}" if number >= 9.95 else f"{number:.1f}{unit}"
    return f"{number * 1e12:.0e}"


def percent(share: float) -> str:
    """A share in whole percent, 100% only where it is all and 0% only where it is none."""
    rounded = round(share * 100)
    if rounded == 100 and share < 1:
        return "99%"
    return "1%" if rounded == 0 and share > 0 else f"{rounded}%"


def show(columns: Sequence[Column], sections: Sequence[Section], notes: Sequence[str], file: TextIO) -> None:
    """Write the table, in colours where the file is a terminal, whose width it may use beyond 80 columns.

    A name in the first column that leaves too little room for the others stands on a line of its own, above its row.
    A last column of text is broken into lines; so are titles and notes.
    """
    lines = _styled_lines(columns, sections, notes, text_lines.columns(file))
    if not file.isatty():
        file.write("".join(f"{line}\n" for _, line in lines))
        return
    from rich.console import Console

    console = Console(file=file)
    for style, line in lines:
        console.print(line, style=style or None, markup=False, highlight=False, soft_wrap=True)


def _styled_lines(
    columns: Sequence[Column], sections: Sequence[Section], notes: Sequence[str], width: int
) -> Iterator[tuple[str, str]]:
    """A line of groups, a line of names, a title over each section, and the notes below; with the style of each."""
    sections = [Section(section.title, [[*map(text_lines.plain, row)] for row in section.rows]) for section in sections]
    widths = _widths(columns, [row for section in sections for row in section.rows], width)
    if any(column.group for column in columns):
        yield "bold", _groups(columns, widths)
    yield "bold", _line(columns, widths, [column.name for column in columns])
    for section in sections:
        yield "", ""
        if section.title:
            yield from (("bold cyan", line) for line in text_lines.wrapped(section.title, width))
        yield from (("", line) for row in section.rows for line in _row(columns, widths, row, width))
    yield "", ""
    yield from (("dim", line) for note in notes for line in text_lines.wrapped(note, width))


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The width of each column, as its cells and headings need it; a first and a last column of text share the rest."""
    cells = [[column.name, *(row[i] for row in rows)] for i, column in enumerate(columns)]
    widths = [max(column.min_width, *map(len, cell)) for column, cell in zip(columns, cells, strict=True)]
    for end, (name, first) in _ends(columns).items():
        span = sum(widths[first : end + 1]) + end - first
        widths[end] += max(0, len(name) - span)
    if _is_text(columns):
        widths[-1] = min(widths[-1], max(LEAST_TEXT, width - sum(widths[:-1]) - len(widths) + 1))
    room = width - sum(widths[1:]) - len(widths) + 1
    widths[0] = max(columns[0].min_width, *(len(cell) for cell in cells[0] if len(cell) <= room), len(columns[0].name))
    return widths


def _is_text(columns: Sequence[Column]) -> bool:
    return len(columns) > 1 and columns[-1].left


def _row(columns: Sequence[Column], widths: Sequence[int], row: Sequence[str], width: int) -> Iterator[str]:
    """The lines of a row."""
    name, *cells = row
    if len(name) > widths[0]:
        yield from text_lines.wrapped(name, width, "  ")
        name = ""
    if not _is_text(columns):
        yield _line(columns, widths, [name, *cells])
        return
    for i, part in enumerate(text_lines.wrapped(cells[-1], widths[-1])):
        yield _line(columns, widths, [*([name, *cells[:-1]] if i == 0 else [""] * len(cells)), part])


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    padded = (
        cell.ljust(width) if column.left else cell.rjust(width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    )
    return " ".join(padded).rstrip()


def _ends(columns: Sequence[Column]) -> dict[int, tuple[str, int]]:
    """The groups of neighbouring columns: from the last column of each to its name and first column."""
    ends, first = {}, 0
    for i, column in enumerate(columns):
        if i + 1 == len(columns) or columns[i + 1].group != column.group:
            ends[i] = (column.group, first)
            first = i + 1
    return ends


def _groups(columns: Sequence[Column], widths: Sequence[int]) -> str:
    spans = ((name, sum(widths[first : end + 1]) + end - first) for end, (name, first) in _ends(columns).items())
    return " ".join(name.center(span) for name, span in spans).rstrip()
