"""Rows of figures as a table of at most 80 columns."""

from __future__ import annotations

import sys
from typing import Any

from aptsched.report import table
from aptsched.report.table import Column, Section

Row = dict[str, Any]


def show(title: str, rows: list[Row]) -> None:
    """A table of rows on stdout; a heading of several words stands on two lines."""
    first, *others = rows[0]
    columns = [Column(_words(first), left=True)]
    columns += [Column(name, group) for group, _, name in (_words(other).rpartition(" ") for other in others)]
    table.show(columns, [Section(title, [[*map(_cell, row.values())] for row in rows])], [], sys.stdout)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
