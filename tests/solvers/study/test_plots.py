"""The plots at the edges of what there is to draw."""

from __future__ import annotations

import pytest

from aptsched.report.plots import Series, gap_over_size


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[], [0.0], [0.5]])
def test_what_does_not_vary_is_drawn_without_a_warning(values: list[float]) -> None:
    """Nothing at all, or one value."""
    lines = [Series("greedy", [50] * len(values), values)]
    assert gap_over_size(lines, []).startswith(b"\x89PNG")
