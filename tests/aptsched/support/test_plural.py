"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from aptsched.support.plural import how_many


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 searches"), (1, "1 search"), (1.0, "1 search"), (0.5, "0.5 searches"), (1234567, "1234567 searches")],
)
def test_only_one_is_singular(number: float, said: str) -> None:
    """Whole numbers have all their digits, others those of `:g`."""
    assert how_many(number, "search", "searches") == said
    assert how_many(number, "run").split()[1] == ("run" if number == 1 else "runs")
