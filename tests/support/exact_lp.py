"""Linear programmes in exact arithmetic, which answers in floats are held against."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Row = list[Fraction]


def maximum(gain: Sequence[Fraction], rows: Sequence[Sequence[int]], limits: Sequence[Fraction]) -> Fraction:
    """The most that gain x comes to with rows x <= limits and x >= 0, where limits are at least 0 and it is bounded.

    The simplex method from x = 0. Of several columns and rows the first is taken (Bland's rule), so that it ends.
    """
    num_rows, num_columns = len(rows), len(gain) + len(rows)
    table = [
        [*map(Fraction, row), *(Fraction(slack == i) for slack in range(num_rows)), limit]
        for i, (row, limit) in enumerate(zip(rows, limits, strict=True))
    ]
    objective: Row = [*gain, *[Fraction(0)] * (num_rows + 1)]
    basis = list(range(len(gain), num_columns))
    while (entering := next((c for c in range(num_columns) if objective[c] > 0), None)) is not None:
        ratios = [(row[-1] / row[entering], basis[i], i) for i, row in enumerate(table) if row[entering] > 0]
        _, _, leaving = min(ratios)
        table[leaving] = [entry / table[leaving][entering] for entry in table[leaving]]
        table = [row if i == leaving else _without(row, entering, table[leaving]) for i, row in enumerate(table)]
        objective = _without(objective, entering, table[leaving])
        basis[leaving] = entering
    return -objective[-1]


def _without(row: Row, column: int, pivot: Row) -> Row:
    """The row less as much of the pivot's as makes its entry in this column 0."""
    factor = row[column]
    return [entry - factor * other for entry, other in zip(row, pivot, strict=True)] if factor else row
