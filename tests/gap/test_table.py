"""How the table is written."""

from __future__ import annotations

import io

import pytest

from aptsched.report.table import Column, Section, duration, gap, percent, show


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (1e-16, "<1e-9"), (1e-9, "1.0e-9"), (0.00612, "6.1e-3"), (0.5, "5.0e-1"), (1.0, "1.0e0")],
)
def test_gaps(value: float | None, text: str) -> None:
    """0 only where it is 0; what floats differ by is said to be below 1e-9."""
    assert gap(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00ms"),
        (2.1e-4, "0.21ms"),
        (0.0123, "12.3ms"),
        (0.9994, "999ms"),
        (0.9996, "1.00s"),
        (61.23, "61.2s"),
        (240, "240s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Three digits, with their unit."""
    assert duration(seconds) == text


@pytest.mark.parametrize(("share", "text"), [(0, "0%"), (1, "100%"), (0.999, "99%"), (0.001, "1%"), (0.5, "50%")])
def test_percents(share: float, text: str) -> None:
    """All is 100%, and nothing else is."""
    assert percent(share) == text


def test_plain_columns_line_up() -> None:
    """Groups over their columns, a title over each section, notes below, nothing that only a terminal reads."""
    columns = (Column("method", left=True), Column("mean", "gap"), Column("worst", "gap"))
    file = io.StringIO()
    show(columns, [Section("n = 2", [["a", "1", "2"], ["longer", "10", "20"]])], ["A note."], file)
    assert file.getvalue().splitlines() == [
        "          gap",
        "method mean worst",
        "",
        "n = 2",
        "a         1     2",
        "longer   10    20",
        "",
        "A note.",
    ]
