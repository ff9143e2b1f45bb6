"""Tables of the benchmarks."""

from __future__ import annotations

import pytest

tables = pytest.importorskip("benchmarks.tables", reason="the benchmarks are in a checkout")


def test_headings_of_several_words_stand_on_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """So that a wide table, that of the clocks, has 80 columns with a long name above its row."""
    names = ["rate_per_s", "live_attained", "computed_attained", "points_apart", "live_s", "computed_s", "time_apart"]
    tables.show("title", [{"policy": "aptserve:forms=hidden", **dict.fromkeys(names, 123456.789)}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rate", "per", "live", "computed", "points", "live", "computed", "time"]
    assert lines[1].split() == ["policy", "s", "attained", "attained", "apart", "s", "s", "apart"]
    assert max(map(len, lines)) <= 80 and lines[5].split() == ["1.23e+05"] * 7
