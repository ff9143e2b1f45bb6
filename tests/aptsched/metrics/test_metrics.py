"""Metrics of records that can be checked by hand, and against plain loops."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.metrics.latencies import latencies
from aptsched.metrics.percentile import percentile, percentiles, percentiles_of
from aptsched.metrics.service import summarise
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.support.spilled import SpilledFloats

COUNTED = {"num_preemptions": 1, "num_promotions": 2, "num_swap_outs": 4, "num_recomputed_tokens": 30}
LABELLED = {"tenant": 0, "priority": 0}


def record(arrived_at_s: float, *token_at_s: float, outcome: Outcome = Outcome.FINISHED) -> RequestRecord:
    """A request with objectives of 1 s and 0.5 s."""
    return RequestRecord(0, arrived_at_s, 10, SLO(1.0, 0.5), np.array(token_at_s), outcome, "", **LABELLED, **COUNTED)


@st.composite
def records(draw: st.DrawFn) -> list[RequestRecord]:
    """Requests of none to 300 tokens, with gaps of whole eighths, so that sums are exact."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    made = []
    for _ in range(draw(st.integers(0, 8))):
        arrived = float(rng.integers(0, 80)) / 8
        gaps = rng.integers(0, 9, rng.choice([0, 1, 2, 5, 99, 100, 101, 102, 300])) / 8
        outcome = Outcome.FINISHED if len(gaps) and rng.random() < 0.8 else Outcome.ABORTED
        made.append(record(arrived, *(arrived + np.cumsum(gaps)).tolist(), outcome=outcome))
    return made


@given(values=st.lists(st.integers(0, 20), min_size=1, max_size=250), percent=st.sampled_from([1, 50, 90, 99, 100]))
def test_percentile_is_the_smallest_that_enough_do_not_exceed(values: list[int], percent: int) -> None:
    """It was observed, at least that share does not exceed it, and no smaller observed value has this."""
    found = percentile(values, percent)
    enough = [v for v in values if 100 * sum(w <= v for w in values) >= percent * len(values)]
    assert found == min(enough)


@given(
    values=st.lists(st.sampled_from([-1e300, -2.0, -1.0, 0.0, 5e-324, 1.0, 1.0 + 2**-52, 2.0]) | st.floats(-9, 9)),
    percents=st.lists(st.sampled_from([1, 50, 90, 99, 100]), min_size=1, max_size=3),
    max_sorted=st.sampled_from([0, 4, 1000]),
)
def test_percentiles_of_a_column_are_those_of_its_values(
    values: list[float], percents: list[int], max_sorted: int
) -> None:
    """Also where it is too long to be sorted, and its values are found bit by bit; many may be equal."""
    column = SpilledFloats(64)
    column.append(np.array(values))
    np.testing.assert_equal(percentiles_of(column, percents, max_sorted), percentiles(np.array(values), percents))


def test_percentile_of_nothing() -> None:
    """There is none: nan."""
    assert math.isnan(percentile([], 99))


@given(made=records())
def test_latencies_of_each_request(made: list[RequestRecord]) -> None:
    """TTFT, own P99 and largest gap, latency and attainment are what a loop over the requests finds."""
    each = latencies(made)
    for i, one in enumerate(made):
        at, done = one.token_at_s.tolist(), one.outcome is Outcome.FINISHED
        gaps = [b - a for a, b in pairwise(at)]
        ttft = at[0] - one.arrived_at_s if at else math.nan
        assert each.num_tokens[i] == len(at)
        np.testing.assert_equal(each.ttft_s[i], ttft)
        np.testing.assert_equal(each.p99_tbt_s[i], percentile(gaps, 99))
        np.testing.assert_equal(each.max_tbt_s[i], max(gaps, default=math.nan))
        np.testing.assert_equal(each.latency_s[i], at[-1] - one.arrived_at_s if done else math.nan)
        assert each.attained_ttft[i] == (done and ttft <= 1.0)
        in_time = done and ttft <= 1.0
        assert each.attained_p99_tbt[i] == (in_time and (not gaps or percentile(gaps, 99) <= 0.5))
        assert each.attained_mean_tbt[i] == (in_time and (not gaps or sum(gaps) / len(gaps) <= 0.5))
        assert each.attained_max_tbt[i] == (in_time and max(gaps, default=0) <= 0.5)
        assert each.starved[i] == (not at or ttft > 10.0)


@given(made=records())
def test_all_gaps(made: list[RequestRecord]) -> None:
    """The gaps are those within requests, in order, none between the tokens of different ones."""
    expected = [b - a for one in made for a, b in pairwise(one.token_at_s)]
    assert latencies(made).tbt_s.tolist() == expected


@given(made=records())
def test_largest_gap_attains_no_more(made: list[RequestRecord]) -> None:
    """Attainment with the largest gap is at most that with the P99 and with the mean, and at most that by deadlines."""
    metrics = summarise(made)
    if made:
        others = (metrics.attained_p99_tbt, metrics.attained_mean_tbt, metrics.attained)
        assert metrics.attained_max_tbt <= min(others) and max(others) <= metrics.attained_ttft


def test_by_hand() -> None:
    """Three requests: one in time, one with a late gap, one rejected."""
    made = [record(0.0, 0.5, 1.0), record(1.0, 2.0, 3.0, 3.5), record(2.0, outcome=Outcome.REJECTED)]
    metrics = summarise(made)
    assert (metrics.num_requests, metrics.num_finished, metrics.num_rejected) == (3, 2, 1)
    assert metrics.span_s == 3.5
    assert (metrics.ttft.median_s, metrics.ttft.p99_s) == (0.5, 1.0)
    assert (metrics.tbt.median_s, metrics.tbt.p99_s) == (0.5, 1.0)
    assert (metrics.latency.median_s, metrics.latency.p90_s) == (1.0, 2.5)
    assert (metrics.attained, metrics.attained_ttft, metrics.rejected) == (1 / 3, 2 / 3, 1 / 3)
    assert (metrics.attained_p99_tbt, metrics.attained_mean_tbt, metrics.attained_max_tbt) == (1 / 3, 1 / 3, 1 / 3)
    assert (metrics.fluidity, metrics.max_tbt_s) == ((1 + 2 / 4) / 3, 1.0)  # the late token missed two deadlines
    assert (metrics.goodput_per_s, metrics.tokens_per_s) == (1 / 3.5, 5 / 3.5)
    assert (metrics.num_preemptions, metrics.num_promotions) == (3, 6)
    assert (metrics.num_swap_outs, metrics.num_recomputed_tokens) == (12, 90)
    assert metrics.starved == 1 / 3


def test_p99_forgives_one_gap_of_a_hundred() -> None:
    """With 100 gaps the largest one is above the P99, with 99 it is the P99."""
    hundred = [
        record(0.0, *np.cumsum([0.5] + [0.25] * 99 + [2.0])),
        record(0.0, *np.cumsum([0.5] + [0.25] * 98 + [2.0])),
    ]
    each = latencies(hundred)
    assert each.attained_p99_tbt.tolist() == [True, False] and each.attained_max_tbt.tolist() == [False, False]


def test_stalls_are_gaps_between_tokens() -> None:
    """Over 2 and over 10 s, not at just so many, and not before the first token."""
    made = [record(0.0, 30.0, 32.0), record(0.0, 1.0, 3.125), record(0.0, 1.0, 2.0, 12.5), record(0.0, 1.0, 11.0)]
    metrics = summarise(made)
    assert (metrics.stalled_over_2_s, metrics.stalled_over_10_s, metrics.max_tbt_s) == (3 / 4, 1 / 4, 10.5)


def test_no_requests() -> None:
    """Nothing to measure is nan, and counts are 0."""
    metrics = summarise([], alone_s=[])
    assert metrics.num_requests == 0 and metrics.jain is metrics.stable is None
    measured = (metrics.span_s, metrics.ttft.p99_s, metrics.attained, metrics.goodput_per_s, metrics.max_tbt_s)
    assert all(map(math.isnan, measured))


def test_one_token() -> None:
    """A request of one token has no gap, attains its TBT, and a span of no length has no rates."""
    metrics = summarise([record(1.0, 1.0)])
    assert metrics.attained == 1 and math.isnan(metrics.tbt.p99_s) and math.isnan(metrics.goodput_per_s)


def test_jain() -> None:
    """1 where all are slowed down alike; half where one of two bears nearly all; unfinished ones do not count."""
    made = [record(0.0, 2.0), record(0.0, 4.0), record(0.0, 9.0, outcome=Outcome.ABORTED)]
    assert summarise(made, alone_s=[1.0, 2.0, 1.0]).jain == 1.0
    assert summarise(made, alone_s=[1e9, 1.0, 1.0]).jain == pytest.approx(0.5)
    assert summarise(made).jain is None


@pytest.mark.parametrize("baseline", [[1.0], [1.0, 0.0], [1.0, math.nan], [[1.0, 1.0]]])
def test_bad_baseline(baseline: list[float]) -> None:
    """A baseline of another length, of 0 s or not finite is an input error that names it."""
    with pytest.raises(InputError, match="alone_s"):
        summarise([record(0.0, 1.0), record(0.0, 2.0)], alone_s=baseline)
