"""The search for the highest rate that holds, the requests that it is held for, and intervals of paired ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

capacity = pytest.importorskip("benchmarks.hidden_capacity", reason="the benchmarks are in a checkout")


@given(limit=st.floats(0.1, 50.0), first=st.floats(0.5, 5.0), other=st.floats(0.5, 5.0))
def test_the_highest_rate_that_holds_is_found_to_2_percent(limit: float, first: float, other: float) -> None:
    """Wherever the search begins it is the same one; no rate below it was seen to fail."""
    tried: dict[float, bool] = {}

    def holds(rate_per_s: float) -> bool:
        tried[rate_per_s] = rate_per_s <= limit
        return tried[rate_per_s]

    found = capacity.highest_that_holds(holds, first)
    if found:
        assert limit / capacity.WITHIN <= found <= limit and tried[found]
        assert capacity.highest_that_holds(holds, other) in (found, 0.0)
    else:
        assert limit < first / capacity.FURTHEST * capacity.WITHIN**capacity.STEP
    assert all(held for rate, held in tried.items() if rate <= found)


def test_where_no_rate_holds_the_search_ends() -> None:
    """Some rate below a thirtieth of the first one is the last that is tried."""
    assert capacity.highest_that_holds(lambda rate: False, 3.0) == 0.0


def test_a_seed_is_the_same_requests_at_every_rate() -> None:
    """Twice the rate: the same lengths in half of the time, and so more of them arrive in time."""
    slow, fast = (capacity.requests("longbench", 3, rate) for rate in (0.5, 1.0))
    assert len(slow) < len(fast)
    for name in ("num_prompt_tokens", "num_output_tokens"):
        assert (getattr(slow, name) == getattr(fast, name)[: len(slow)]).all()
    assert np.allclose(slow.arrived_at_s, 2 * fast.arrived_at_s[: len(slow)], atol=2e-6)
    assert slow.last_arrival_s < 660.0 and fast.last_arrival_s < 660.0


def test_the_interval_of_paired_ratios() -> None:
    """Of 1 and 4 the mean is 2, and t of one degree of freedom, 12.706, times ln 4 / 2 is half of it in logarithms."""
    mean, low, high = capacity.interval(np.array([1.0, 4.0]))
    assert mean == pytest.approx(2.0)
    assert math.log(high / mean) == pytest.approx(12.706 * math.log(4) / 2, rel=1e-4)
    assert low * high == pytest.approx(mean**2)
    assert capacity.cell(np.array([1.5, 1.5, 1.5])) == "1.50 +-0.00" and capacity.cell(np.array([1.5])) == "1.50"


def test_ratios_are_of_the_same_seeds_and_sets() -> None:
    """Ours holds 2 and 3 where the other holds 1 and 1, and 1 and 3 where it holds 2 and 2."""
    rates = {"a.csv": ([2.0, 3.0], [1.0, 1.0]), "b.csv": ([1.0, 3.0], [2.0, 2.0])}
    found = {
        capacity.Case(*variant, each, (0, 1), "m", "g", 1.0): rates[each][variant[0] == "fcfs"]
        for each in rates
        for variant in (capacity.LIFETIME, ("fcfs", "absorbed"))
    }
    (row,) = capacity.ratio_table(list(rates), found)
    means = {name: float(text.split()[0]) for name, text in row.items() if name != "times the rate of"}
    assert means == pytest.approx({"a": 6**0.5, "b": 0.75**0.5, "all": 4.5**0.25}, abs=0.005)
    assert capacity.rate_table(list(rates), found)[1] == {"policy": "fcfs", "a": 1.0, "b": 2.0}
