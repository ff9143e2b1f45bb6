"""The price of the machine's time: units, monotony, and who is accepted at it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.backlog_price import MOST, BacklogPrice, accepted

PLENTY = (np.ones(12, np.int64), 100)  # blocks of each, and the room for them
COSTS = st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=12)


def learnt(costs: list[float], durations: list[float], strength: float = 2.0) -> BacklogPrice:
    """A price that has seen these arrivals."""
    return BacklogPrice(strength).of_arrivals(np.array(costs), np.array(durations))


def test_what_a_request_is_worth_by_hand() -> None:
    """Means 1 s and (0.5 * 4 + 1.5 * 8) / 2 = 7 s: at a backlog of 14 s it is worth 2 * 1 * 7 / 14 = 1 s."""
    price = learnt([0.5, 1.5], [4.0, 8.0])
    assert price.worth_s(np.array([14.0, 7.0, 0.0])) == pytest.approx([1.0, 2.0, MOST])


@given(costs=COSTS, backlog_s=st.floats(0, 100), factor=st.floats(0.1, 10))
def test_the_unit_of_time_does_not_matter(costs: list[float], backlog_s: float, factor: float) -> None:
    """Where all seconds are so many times as long, what a request is worth is too."""
    durations = [10.0 * cost for cost in costs]
    scaled = learnt([factor * cost for cost in costs], [factor * each for each in durations])
    worth_s = learnt(costs, durations).worth_s(np.array([backlog_s]))
    assert scaled.worth_s(np.array([factor * backlog_s])) == pytest.approx(factor * worth_s)


@given(costs=COSTS, backlog_s=st.floats(0, 50), more_s=st.floats(0, 50))
def test_a_longer_backlog_admits_no_other_request(costs: list[float], backlog_s: float, more_s: float) -> None:
    """Who is accepted at a backlog is accepted at a shorter one."""
    price, asking = learnt([1.0], [10.0]), np.ones(len(costs), np.bool_)
    early, _ = accepted(price, np.array(costs), backlog_s, asking, *PLENTY)
    late, _ = accepted(price, np.array(costs), backlog_s + more_s, asking, *PLENTY)
    assert not (late & ~early).any()


@given(costs=COSTS, backlog_s=st.floats(0, 50), data=st.data())
def test_only_those_asking_are_accepted_the_cheapest_first(
    costs: list[float], backlog_s: float, data: st.DataObject
) -> None:
    """None costs more than the cheapest of those asking that is refused; each costs no more than it is worth."""
    asking = np.array(data.draw(st.lists(st.booleans(), min_size=len(costs), max_size=len(costs))))
    cost_s, price = np.array(costs), learnt([1.0], [10.0])
    found, _ = accepted(price, cost_s, backlog_s, asking, *PLENTY)
    assert not (found & ~asking).any()
    refused = cost_s[asking & ~found]
    assert not len(refused) or (cost_s[found] <= refused.min()).all()
    for order in np.argsort(cost_s[found], kind="stable").tolist():
        cost = cost_s[found][order]
        before_s = backlog_s + cost_s[found][cost_s[found] < cost].sum()
        assert cost <= price.worth_s(np.array([before_s]))[0] * (1 + 1e-9)


def test_no_more_than_there_is_room_for() -> None:
    """Of three alike that take two blocks each, two are accepted where five are left."""
    found, _ = accepted(learnt([1.0], [10.0]), np.ones(3), 0.1, np.ones(3, np.bool_), np.full(3, 2), 5)
    assert found.tolist() == [True, True, False]
