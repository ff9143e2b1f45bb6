"""The search for the highest rate that holds a level, on curves that are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.metrics.rate_search import (
    CHECKED,
    FURTHEST,
    NEAR,
    STEP,
    WITHIN,
    Probe,
    bracket,
    crossing_rate,
    next_rate,
)

LEVEL = 0.9


def search(share: Callable[[float], float], first: float, probes: list[Probe] | None = None) -> list[Probe]:
    """All probes of a search on a curve of shares; runs far below the level are given up."""
    probes = [] if probes is None else probes
    while (rate := next_rate(probes, LEVEL, first)) is not None:
        probes.append(Probe(rate, share(rate) if share(rate) > LEVEL - 0.1 else None))
    return probes


@given(st.floats(0.1, 50), st.floats(0.2, 5), st.floats(1, 200))
def test_the_crossing_of_a_falling_curve_is_found_within_one_percent(rate: float, start: float, slope: float) -> None:
    """Whatever the first rate and the slope are; in 20 probes at most where it begins within a factor of 5."""
    probes = search(lambda probed: LEVEL - slope * math.log(probed / rate) / 10, rate * start)
    assert crossing_rate(probes, LEVEL) == pytest.approx(rate, rel=0.011)
    assert len(probes) <= 20


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.8, 1), st.booleans()), max_size=8), st.floats(0.1, 10))
def test_every_probed_rate_up_to_the_one_found_holds(given: list[tuple[float, float, bool]], first: float) -> None:
    """Whatever was probed before for other levels, and however shares rise and fall."""
    before = [Probe(float(f"{rate:.4g}"), share, stable) for rate, share, stable in given]
    probes = search(lambda rate: 0.9 + 0.1 * math.sin(5 * rate), first, before)
    held, failed = bracket(probes, LEVEL)
    found = crossing_rate(probes, LEVEL)
    assert all(probe.holds(LEVEL) for probe in probes if probe.rate_per_s < found)
    assert held is None or held.rate_per_s <= found
    assert failed is None or held is None or failed.rate_per_s <= held.rate_per_s * WITHIN


def test_a_search_of_four_probes_by_hand() -> None:
    """From 1 it steps by 1.02^8 until a rate fails, and then halves the logarithm of the two rates' ratio."""
    first, step = 1.0, float(f"{STEP:.4g}")
    assert next_rate([], LEVEL, first) == 1.0
    assert next_rate([Probe(1.0, 0.95)], LEVEL, first) == step
    between = next_rate([Probe(1.0, 0.95), Probe(step, 0.5)], LEVEL, first)
    assert between == float(f"{math.sqrt(step):.4g}")
    assert next_rate([Probe(1.0, 0.85)], LEVEL, first) == float(f"{1 / STEP:.4g}")


def test_the_share_between_two_rates_falls_with_the_logarithm_of_the_rate() -> None:
    """0.95 at 1 and 0.85 at 1.02 cross 0.9 at the square root of 1.02; so they do where the second is not known."""
    middle = math.sqrt(1.02)
    assert crossing_rate([Probe(1.0, 0.95), Probe(1.02, 0.85)], LEVEL) == pytest.approx(middle)
    assert crossing_rate([Probe(1.0, 0.92), Probe(1.02, None)], LEVEL) == pytest.approx(middle)
    assert crossing_rate([Probe(1.0, 0.92), Probe(1.02, 0.95, stable=False)], LEVEL) == pytest.approx(middle)


def test_a_dip_below_the_rate_found_is_found_too() -> None:
    """Lower rates are checked: where one of them fails, the rate that holds is below it."""
    probes = search(lambda rate: 0.85 if 1.4 < rate < 1.7 else 0.99 if rate < 2 else 0.8, 3.0)
    assert crossing_rate(probes, LEVEL) == pytest.approx(1.4, rel=0.011)


def test_lower_rates_were_probed() -> None:
    """Beside each part of the rate found that is checked there is a probe."""
    probes = search(lambda rate: 1.0 if rate < 2 else 0.0, 2.0)
    held, _ = bracket(probes, LEVEL)
    assert held is not None
    for part in CHECKED:
        assert any(1 / NEAR <= probe.rate_per_s / (part * held.rate_per_s) <= NEAR for probe in probes)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_level_that_every_rate_or_none_holds_ends_the_search(share: float) -> None:
    """No rate is found where none holds, and the highest one probed where all do; at most 50 times the first, or so."""
    probes = search(lambda rate: share, 1.0)
    rates = [probe.rate_per_s for probe in probes]
    found = crossing_rate(probes, LEVEL)
    assert found == max(rates) >= FURTHEST if share else math.isnan(found)
    assert len(probes) <= 12


def test_what_is_not_stable_holds_nothing() -> None:
    """Nor does a run that was given up."""
    assert Probe(1.0, 1.0).holds(LEVEL)
    assert not Probe(1.0, 1.0, stable=False).holds(LEVEL)
    assert not Probe(1.0, None).holds(LEVEL)
