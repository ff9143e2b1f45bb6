"""Where two lines of measurements cross, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.hidden import crossing


@pytest.mark.parametrize(
    ("ratios", "expected"), [([0.5, 0.8, 1.2], 30.0), ([1.0, 2.0, 3.0], 10.0), ([0.5, 1.5, 0.5], 15.0)]
)
def test_the_crossing_lies_on_the_line_between_two_measurements(ratios: list[float], expected: float) -> None:
    """Of 10, 20 and 40 new tokens: halfway from 0.8 to 1.2 is 30; the first time counts."""
    assert crossing(np.array([10, 20, 40]), np.array(ratios)) == pytest.approx(expected)


def test_ratios_below_1_do_not_cross() -> None:
    """Then rebuilding was never cheaper."""
    assert crossing(np.array([10, 20]), np.array([0.5, 0.9])) is None
