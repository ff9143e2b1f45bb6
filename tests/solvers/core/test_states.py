"""The dynamic programme over one resource or several, held against enumeration."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.support.checks import Ints
from solvers.core.alternatives import Alternatives
from solvers.core.states import best_of_states

WIDE = 10**6
Row = tuple[int, tuple[int, ...]]  # loss and take of an alternative


@dataclass(frozen=True)
class Case:
    """Alternatives at multipliers, [D]: one that takes t gains price . t less its loss, so that the bound is right."""

    price: tuple[int, ...]
    requests: list[list[Row]]
    slack: tuple[int, ...]

    @property
    def bound(self) -> int:
        """On the gain above the LP's options of any choice that fits."""
        return int(np.dot(self.price, self.slack))

    def gain(self, row: Row) -> int:
        return int(np.dot(self.price, row[1])) - row[0]

    def alternatives(self) -> Alternatives:
        rows = [row for each in self.requests for row in each]
        request = np.repeat(np.arange(len(self.requests)), [len(each) for each in self.requests])
        take = np.array([row[1] for row in rows], np.int64).reshape(-1, len(self.price)).T
        loss, gain = (np.array([f(row) for row in rows], np.float64) for f in (lambda row: row[0], self.gain))
        return Alternatives(request, np.ones(len(rows), np.int64), loss, gain, take)

    def best(self) -> int | None:
        """The most gain of a choice that fits; None where none does."""
        none: Row = (0, (0,) * len(self.price))
        choices = product(*([none, *each] for each in self.requests), [none])
        fitting = (c for c in choices if (np.sum([row[1] for row in c], axis=0) <= self.slack).all())
        return max((sum(map(self.gain, choice)) for choice in fitting), default=None)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One to three resources, one to six requests of one to three alternatives; some give back."""
    d = draw(st.integers(1, 3))
    price = draw(st.tuples(*[st.integers(0, 3)] * d))
    row = st.tuples(st.integers(0, 5), st.tuples(*[st.integers(-3, 3)] * d))
    requests = draw(st.lists(st.lists(row, min_size=1, max_size=3), min_size=1, max_size=6))
    return Case(price, requests, draw(st.tuples(*[st.integers(-3, 5)] * d)))


def solve(case: Case, incumbent: int, beam: int = WIDE, max_work: float = WIDE) -> tuple[Alternatives, Ints, bool]:
    alternatives, gap = case.alternatives(), float(case.bound - incumbent)
    price = [float(each) for each in case.price]
    chosen, proved, work = best_of_states(alternatives, list(case.slack), price, float(incumbent), gap, beam, max_work)
    assert work <= max_work or not proved
    return alternatives, chosen, proved


def check_fits(case: Case, alternatives: Alternatives, chosen: Ints) -> float:
    """At most one for each request, within the slack; what it gains."""
    assert len({*alternatives.request[chosen].tolist()}) == len(chosen)
    assert (alternatives.take[:, chosen].sum(axis=1) <= case.slack).all()
    return float(alternatives.gain[chosen].sum())


@settings(max_examples=200)
@given(cases(), st.integers(0, 12))
def test_no_choice_gains_more(case: Case, below: int) -> None:
    """From an incumbent that is so much below the bound: the best choice if that is better, and proved."""
    incumbent, best = case.bound - below, case.best()
    alternatives, chosen, proved = solve(case, incumbent)
    assert proved
    if best is not None and best > incumbent:
        assert check_fits(case, alternatives, chosen) == best
    else:
        assert not len(chosen)


@settings(max_examples=150)
@given(cases(), st.integers(0, 12), st.integers(1, 4))
def test_a_narrow_beam_is_honest(case: Case, below: int, beam: int) -> None:
    """What it finds fits and is better than the incumbent; where it says that it is proved it is the best."""
    incumbent, best = case.bound - below, case.best()
    alternatives, chosen, proved = solve(case, incumbent, beam)
    nothing_is_better = incumbent < 0 and min(case.slack) >= 0  # then the LP's own options are
    if len(chosen) or nothing_is_better:
        assert check_fits(case, alternatives, chosen) > incumbent
    if proved and best is not None and best > incumbent:
        assert check_fits(case, alternatives, chosen) == best


def test_two_requests_by_hand() -> None:
    """Both together gain 4 s but take 3 of 2 tokens; the first alone gains 3 s, and the third gives a block back.

    Prices are 1 s a block and 2 s a token, the slack 1 block and 2 tokens, so that the bound is 5 s.
    """
    case = Case((1, 2), [[(1, (0, 2))], [(0, (-1, 1))], [(0, (-1, 0)), (4, (1, 1))]], (1, 2))
    assert [case.gain(row) for each in case.requests for row in each] == [3, 1, -1, -1]
    assert case.best() == 3
    alternatives, chosen, proved = solve(case, 0)
    assert alternatives.loss[chosen].tolist() == [1.0] and proved


def test_many_states_that_take_the_same_are_merged() -> None:
    """Ten requests of two alternatives each have 59,049 choices, of which a hundred and some take different amounts."""
    requests: list[list[Row]] = [[(i % 3, (1, 0)), ((i + 1) % 4, (0, 1))] for i in range(10)]
    case = Case((2, 2), requests, (4, 3))
    _, _, proved = solve(case, case.bound - 20, beam=200)
    alternatives, chosen, _ = solve(case, case.bound - 20)
    assert proved and check_fits(case, alternatives, chosen) == case.best()


@pytest.mark.parametrize("work", [0, 3])
def test_at_the_limit_of_work_nothing_is_proved(work: int) -> None:
    """The incumbent stays, or what was found by then."""
    case = Case((1,), [[(0, (1,))], [(0, (1,))], [(0, (1,))]], (3,))
    alternatives, chosen, proved = solve(case, 0, max_work=work)
    assert not proved
    assert check_fits(case, alternatives, chosen) < 3
    assert solve(case, 0, max_work=100)[2]


def test_nobody_has_an_alternative() -> None:
    """Then nothing is better, and that is proved."""
    alternatives = Case((1,), [], (2,)).alternatives()
    chosen, proved, _ = best_of_states(alternatives, [2], [1.0], 0.0, 1.0, WIDE, WIDE)
    assert not len(chosen) and proved
