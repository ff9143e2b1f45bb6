"""The dynamic programme over one resource, held against enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.core.alternatives import Alternatives
from solvers.core.budget import Budget
from solvers.core.one_resource import best_in_table, width

FREE = Budget(None, None)
Rows = list[list[tuple[int, int]]]  # gain and take of each alternative of each request

rows = st.lists(st.lists(st.tuples(st.integers(-6, 9), st.integers(-5, 5)), min_size=1, max_size=3), max_size=6)


def of(requests: Rows) -> Alternatives:
    """Request by request, in the order given."""
    request = np.repeat(np.arange(len(requests)), [len(each) for each in requests])
    gain, take = np.array([pair for each in requests for pair in each], np.int64).reshape(-1, 2).T
    option = np.ones(len(request), np.int64)
    return Alternatives(request, option, np.zeros(len(request)), gain.astype(np.float64), take[None])


def most(requests: Rows, slack: int) -> int | None:
    """The most gain of at most one alternative for each request that takes at most the slack."""
    sums = (np.sum(choice, axis=0) for choice in product(*([(0, 0), *each] for each in requests), [(0, 0)]))
    return max((int(gain) for gain, take in sums if take <= slack), default=None)


@settings(max_examples=200)
@given(rows, st.integers(-12, 20))
def test_no_choice_gains_more(requests: Rows, slack: int) -> None:
    """At most one alternative for each request, within the slack, also where that is negative."""
    alternatives = of(requests)
    chosen = best_in_table(alternatives, slack, FREE)
    assert chosen is not None
    assert len({*alternatives.request[chosen].tolist()}) == len(chosen)
    expected = most(requests, slack)
    if expected is None:
        assert not len(chosen)
    else:
        assert alternatives.take[0, chosen].sum() <= slack
        assert alternatives.gain[chosen].sum() == expected


def test_two_requests_by_hand() -> None:
    """With a slack of 1, 5 s for 3 is paid for by a request that gives back 2 and loses 1 s."""
    requests: Rows = [[(5, 3), (1, 1)], [(-1, -2)]]
    chosen = best_in_table(of(requests), 1, FREE)
    assert chosen is not None and sorted(chosen.tolist()) == [0, 2]


@given(rows)
def test_the_width_is_from_the_least_to_the_most_that_all_can_take(requests: Rows) -> None:
    """Nothing, where there is nobody, takes one column."""
    sums = [sum(choice) for choice in product(*([0, *(take for _, take in each)] for each in requests))]
    assert width(of(requests)) == max(sums) - min(sums) + 1


def test_the_work_is_counted_before_it_is_done() -> None:
    """A row of the table for each alternative and one more."""
    requests: Rows = [[(5, 3), (1, 1)], [(-1, -2)]]
    work = width(of(requests)) * 4
    assert best_in_table(of(requests), 1, Budget(None, work - 1)) is None
    assert best_in_table(of(requests), 1, Budget(None, work)) is not None
