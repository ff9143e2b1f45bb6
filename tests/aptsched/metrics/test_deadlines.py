"""Deadlines of tokens, against loops over tokens in plain Python, also at the deadline to the last bit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.metrics.deadlines import fluidity_index, tokens_of
from aptsched.metrics.latencies import latencies
from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.record import SLO, Outcome, RequestRecord

SECONDS = st.floats(1e-3, 20)
OFFSETS = (-1, 0, 1)  # units in the last place from the deadline


def record(arrived_at_s: float, token_at_s: Sequence[float], slo: SLO, outcome: Outcome) -> RequestRecord:
    counts = dict.fromkeys((*LABELS, *COUNTS), 0)
    return RequestRecord(0, arrived_at_s, 10, slo, np.array(token_at_s, np.float64), outcome, "", **counts)


@st.composite
def requests(draw: st.DrawFn) -> RequestRecord:
    """Requests whose tokens come anywhere, or within a bit of their deadlines, in order."""
    arrived, slo = draw(st.floats(0, 100)), SLO(draw(SECONDS), draw(SECONDS))
    at = []
    for place in range(draw(st.integers(0, 8))):
        due = arrived + (slo.ttft_s + place * slo.tpot_s)
        near = {-1: math.nextafter(due, -math.inf), 0: due, 1: math.nextafter(due, math.inf)}
        at.append(draw(st.sampled_from([near[offset] for offset in OFFSETS]) | st.floats(arrived, arrived + 200)))
    return record(arrived, sorted(at), slo, draw(st.sampled_from(Outcome)))


def attains(one: RequestRecord) -> bool:
    """The measure as it is defined, token by token."""
    if one.outcome is not Outcome.FINISHED or not len(one.token_at_s):
        return False
    for i, at_s in enumerate(one.token_at_s.tolist(), 1):
        if at_s - one.arrived_at_s > one.slo.ttft_s + (i - 1) * one.slo.tpot_s:
            return False
    return True


@given(st.lists(requests(), max_size=6))
def test_a_request_attains_if_every_token_comes_by_its_deadline(made: list[RequestRecord]) -> None:
    """Token i within TTFT + (i - 1) TPOT of the arrival, to the last bit; who did not finish attains nothing."""
    assert latencies(made).attained.tolist() == [attains(one) for one in made]


@given(st.lists(requests(), max_size=6))
def test_lateness_is_that_of_the_latest_token(made: list[RequestRecord]) -> None:
    """Above 0 just where a token was late; nan without a token. The scale that makes it 0 is above 1 just there."""
    tokens = tokens_of(made)
    for one, late_s, scale in zip(made, tokens.max_lateness_s.tolist(), tokens.needed_scale.tolist(), strict=True):
        due = [one.slo.ttft_s + place * one.slo.tpot_s for place in range(len(one.token_at_s))]
        since = [at_s - one.arrived_at_s for at_s in one.token_at_s.tolist()]
        if due:
            assert late_s == max(s - d for s, d in zip(since, due, strict=True))
            assert scale == max(s / d for s, d in zip(since, due, strict=True))
        else:
            assert math.isnan(late_s) and math.isnan(scale)


def by_slack(gaps_s: Sequence[float], ttft_s: float, tpot_s: float) -> float:
    """Etalon's algorithm 1 as it is stated, with slack that is carried from token to token."""
    slack, met, missed = 0.0, 0, 0
    for place, gap_s in enumerate(gaps_s):
        deadline = tpot_s if place else ttft_s
        if gap_s <= deadline + slack:
            slack, met = slack + deadline - gap_s, met + 1
        else:
            missed, slack = missed + int((gap_s - slack - deadline) // tpot_s) + 1, 0.0
    return met / (met + missed)


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=30),
    st.integers(1, 200),
    st.sampled_from([1, 2, 4, 8, 16, 32, 64]),
)
def test_fluidity_is_that_of_the_published_algorithm(eighths: list[int], ttft: int, tpot: int) -> None:
    """On times of whole eighths, so that neither way of adding them up rounds."""
    gaps_s, since_s = [gap / 8 for gap in eighths], [sum(eighths[: i + 1]) / 8 for i in range(len(eighths))]
    assert fluidity_index(since_s, ttft / 8, tpot / 8) == by_slack(gaps_s, ttft / 8, tpot / 8)


@pytest.mark.parametrize(
    ("since_s", "expected"),
    [
        ([1.0, 1.5, 2.0], 1.0),
        ([1.0, 2.75, 3.25], 2 / 5),  # 1.25 s late: what was due at 1.5, 2.0 and 2.5 s was not there
        ([1.0, 3.0, 3.5], 2 / 6),  # late by whole deadlines: the one that passes just then counts
        ([0.0, 1.5, 2.0], 1.0),  # what the first token came early, the second may take
        ([3.5, 4.0], 1 / 7),  # the first was due at 1 s, and so on each half second
    ],
)
def test_fluidity_by_hand(since_s: list[float], expected: float) -> None:
    """With objectives of 1 s and 0.5 s: the share of the deadlines that were met, those after a stall counted anew."""
    assert fluidity_index(since_s, 1.0, 0.5) == expected


def test_fluidity_of_objectives_that_nothing_meets_is_0() -> None:
    """However small they are: more deadlines have passed than numbers have digits for."""
    assert fluidity_index([1.0, 2.0], 5e-324, 5e-324) == 0.0


@given(st.lists(requests(), max_size=6))
def test_fluidity_is_1_just_where_no_token_is_late(made: list[RequestRecord]) -> None:
    """Between 0 and 1 otherwise, and nan without a token."""
    each = latencies(made)
    for one, late_s, fluidity in zip(made, each.max_lateness_s.tolist(), each.fluidity.tolist(), strict=True):
        if not len(one.token_at_s):
            assert math.isnan(fluidity)
        else:
            assert fluidity == 1 if late_s <= 0 else 0 <= fluidity < 1
