"""How the table is written."""

from __future__ import annotations

import contextlib
import io
import os

import pytest

from aptsched.report.table import Column, Section, count, duration, gap, percent, short_duration, show


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
        (99999.4, "99999s"),
        (1.8e6, "2e+06s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Three digits, with their unit."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0us"),
        (4.112e-5, "41.1us"),
        (9.994e-4, "999us"),
        (9.996e-4, "1.00ms"),
        (2.58e-3, "2.58ms"),
        (1.2, "1.20s"),
    ],
)
def test_short_durations(seconds: float, text: str) -> None:
    """In microseconds below a millisecond, and never with an exponent."""
    assert short_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (99999, "99999"),
        (123456, "123k"),
        (999600, "1.0M"),
        (12345678, "12M"),
        (7.2e14, "720T"),
        (1e16, "1e+16"),
    ],
)
def test_counts(number: float, text: str) -> None:
    """Five characters, exact while they are enough."""
    assert count(number) == text


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


def test_a_long_name_stands_above_its_row_and_text_is_broken() -> None:
    """In 80 columns; nothing is cut off."""
    columns = (Column("policy", left=True), Column("a", min_width=40), Column("b", min_width=30))
    name, note = "some/where/policy.py:Mine", "word " * 40
    file = io.StringIO()
    show(columns, [Section("one", [["fcfs", "1", "2"], [name, "3", "4"]])], [note], file)
    lines = file.getvalue().splitlines()
    assert lines[4:6] == [name, " " * 46 + "3" + " " * 30 + "4"] and max(map(len, lines)) <= 80
    assert " ".join(lines[7:]).split() == note.split()
    file = io.StringIO()
    show((Column("policy", left=True), Column("rule", left=True)), [Section("", [["fcfs", note]])], [], file)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and {line.index("word") for line in lines[2:-1]} == {7}


def test_nothing_in_a_table_is_obeyed_by_a_terminal() -> None:
    """Control characters of names, titles and notes are written out; a cell is on one line."""
    file = io.StringIO()
    for name in ("a\x1b[31m\nb\x1c\u2028", "a\x1b[31m\nb" * 30):
        show((Column("policy", left=True), Column("a")), [Section("t\x07", [[name, "1"]])], ["n\x9b"], file)
    text = file.getvalue()
    assert "a\\x1b[31m b" in text and "t\\x07" in text and "n\\x9b" in text
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="Windows has no pseudo-terminals")
def test_a_wide_terminal_is_used() -> None:
    """Its width in place of the 80 columns, which a narrow one has too."""
    import fcntl
    import struct
    import termios

    columns = (Column("policy", left=True), Column("a", min_width=70))
    for width, num_lines in ((200, 1), (40, 2)):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, width, 0, 0))
        with os.fdopen(theirs, "w") as terminal:
            show(columns, [Section("", [["some/where/policy.py:Mine", "1"]])], [], terminal)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal that nobody writes to any more
            while more := os.read(ours, 65536):
                shown += more
        os.close(ours)
        assert len(shown.splitlines()) == 3 + num_lines
