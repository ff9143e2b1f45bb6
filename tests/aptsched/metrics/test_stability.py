"""Whether runs are stable, and the highest rate that holds a level."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.metrics.stability import highest_rate, in_time, is_stable
from aptsched.scheduling.record import Outcome

DONE, LOST, REFUSED, GONE = Outcome.FINISHED, Outcome.UNFINISHED, Outcome.REJECTED, Outcome.ABORTED


@pytest.mark.parametrize(
    ("latencies_s", "outcomes", "stable"),
    [
        ([63.0], [DONE], True),
        ([math.nextafter(63.0, 64.0)], [DONE], False),
        ([math.nan], [LOST], False),
        ([1.0, math.nan], [DONE, REFUSED], True),
        ([1.0, math.nan], [DONE, GONE], True),
        ([math.nan, math.nan], [REFUSED, GONE], None),
        ([1.0] * 99 + [1e6], [DONE] * 100, True),
        ([1.0] * 98 + [1e6] * 2, [DONE] * 100, False),
    ],
)
def test_stable_by_hand(latencies_s: list[float], outcomes: list[Outcome], stable: bool | None) -> None:
    """99% of those admitted within 60 s + 3 times the 1 s that each takes alone; rejected and aborted ones are not."""
    found = in_time(np.array(latencies_s), outcomes, np.ones(len(outcomes)))
    assert is_stable(int(found.sum()), len(found)) is stable


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0.1, 100), st.sampled_from(Outcome)), max_size=150))
def test_stable_is_what_a_loop_finds(made: list[tuple[float, float, Outcome]]) -> None:
    """For each request by itself, then counted in whole numbers."""
    latencies_s = np.array([latency if outcome is DONE else math.nan for latency, _, outcome in made])
    alone_s = np.array([alone for _, alone, _ in made])
    admitted = [one for one in made if one[2] in (DONE, LOST)]
    by_loop = [latency <= 60.0 + 3.0 * alone for latency, alone, outcome in admitted if outcome is DONE]
    expected = 100 * sum(by_loop) >= 99 * len(admitted) if admitted else None
    found = in_time(latencies_s, [outcome for _, _, outcome in made], alone_s)
    assert is_stable(int(found.sum()), len(found)) is expected


def test_highest_rate() -> None:
    """On the line between the last rate that holds the level and the first that does not."""
    assert highest_rate([1.0, 2.0, 3.0], [1.0, 0.75, 0.25], 0.5) == 2.5
    assert highest_rate([1.0, 2.0, 3.0], [1.0, 0.75, 0.25], 0.75) == 2.0


def test_highest_rate_at_the_ends() -> None:
    """The last rate where all hold the level, nan where the first does not; a later recovery does not count."""
    assert highest_rate([1.0, 2.0], [1.0, 0.9], 0.9) == 2.0
    assert math.isnan(highest_rate([1.0, 2.0], [0.5, 0.9], 0.9))
    assert highest_rate([1.0, 2.0, 3.0], [1.0, 0.0, 1.0], 0.5) == 1.5


def test_a_run_that_is_not_stable_holds_nothing() -> None:
    """Whatever it attains: the last stable rate before it does, and between the two nothing is known."""
    assert highest_rate([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 0.9, [True, False, True]) == 1.0
    assert highest_rate([1.0, 2.0], [1.0, 0.0], 0.5, [True, False]) == 1.0
    assert math.isnan(highest_rate([1.0, 2.0], [1.0, 1.0], 0.5, [False, True]))
    assert highest_rate([1.0, 2.0], [1.0, 0.0], 0.5, [None, None]) == 1.5


@pytest.mark.parametrize(("rates", "shares"), [([1.0, 1.0], [1.0, 1.0]), ([1.0], [1.0, 0.5]), ([], [])])
def test_bad_rates(rates: list[float], shares: list[float]) -> None:
    """Rates that do not rise, or not one share for each, are input errors."""
    with pytest.raises(InputError):
        highest_rate(rates, shares, 0.9)
