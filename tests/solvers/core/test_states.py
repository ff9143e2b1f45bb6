"""The dynamic programme over one resource or several, held against enumeration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.support.checks import Floats, Ints
from solvers.core.states import PAUSE, search

WIDE = 10**6
KEPT = -1  # stands for what the incumbent has
MISSED = 1 + 1e-9  # times the gap: what sums of losses may miss
Row = tuple[int, tuple[int, ...]]  # loss and take of an alternative


@dataclass(frozen=True)
class Case:
    """Alternatives at multipliers, [D]: one that takes t gains price . t less its loss, so that the bound is right."""

    price: tuple[int, ...]
    requests: list[list[Row]]
    slack: tuple[int, ...]

    @property
    def bound(self) -> int:
        """On the gain above the best options of any choice that fits."""
        return int(np.dot(self.price, self.slack))

    def gain(self, row: Row) -> int:
        return int(np.dot(self.price, row[1])) - row[0]

    def choices(self) -> tuple[Ints, Ints, Floats, Floats, Ints]:
        """Request, option, loss, gain and take of each; options 1, 2 and so on, as option 0 is the best."""
        rows = [row for each in self.requests for row in each]
        request = np.repeat(np.arange(len(self.requests)), [len(each) for each in self.requests])
        option = np.array([f for each in self.requests for f in range(1, len(each) + 1)], np.int64)
        take = np.array([row[1] for row in rows], np.int64).reshape(-1, len(self.price)).T
        loss, gain = (np.array([f(row) for row in rows], np.float64) for f in (lambda row: row[0], self.gain))
        return request, option, loss, gain, take

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


def steps(case: Case, incumbent: int, beam: int, max_work: int) -> Iterator[tuple[Ints | None, bool, int]]:
    """What is chosen by and by, None where nothing is better, whether that is proved, and the work."""
    (request, option, loss, gain, take), gap = case.choices(), float(case.bound - incumbent)
    n, d = len(case.requests), len(case.price)
    unused = 3 - d  # of three resources the last ones count
    rows = np.vstack([request, option, np.zeros((unused, len(request)), np.int64), take])
    table = rows, (loss, gain), np.zeros(n, np.int64)
    prices = [*map(float, case.price), *[0.0] * (unused + 1)]
    which, slack = np.array([3] * unused + [*range(d)]), np.array([0] * unused + [*case.slack])
    resources = (prices[0], prices[1], prices[2], prices[3]), which, slack
    found = np.full(n, KEPT)
    for proved, work in search(len(request), table, resources, float(incumbent), gap * MISSED, beam, max_work, found):
        yield None if KEPT in found else np.flatnonzero(found[request] == option), proved, work


def solve(case: Case, incumbent: int, beam: int = WIDE, max_work: int = WIDE) -> tuple[Ints | None, bool]:
    """What is chosen in the end, and whether that is proved."""
    *_, (chosen, proved, work) = steps(case, incumbent, beam, max_work)
    assert work <= max_work or not proved
    return chosen, proved


def check_fits(case: Case, chosen: Ints | None) -> float:
    """At most one for each request, within the slack; what it gains."""
    assert chosen is not None
    request, _, _, gain, take = case.choices()
    assert len({*request[chosen].tolist()}) == len(chosen)
    assert (take[:, chosen].sum(axis=1) <= case.slack).all()
    return float(gain[chosen].sum())


@settings(max_examples=200)
@given(cases(), st.integers(0, 12))
def test_no_choice_gains_more(case: Case, below: int) -> None:
    """From an incumbent that is so much below the bound: the best choice if that is better, and proved."""
    incumbent, best = case.bound - below, case.best()
    chosen, proved = solve(case, incumbent)
    assert proved
    if best is not None and best > incumbent:
        assert check_fits(case, chosen) == best
    else:
        assert chosen is None


@settings(max_examples=150)
@given(cases(), st.integers(0, 12), st.integers(1, 4))
def test_a_narrow_beam_is_honest(case: Case, below: int, beam: int) -> None:
    """What it finds fits and is better than the incumbent; where it says that it is proved it is the best."""
    incumbent, best = case.bound - below, case.best()
    chosen, proved = solve(case, incumbent, beam)
    if chosen is not None:
        assert check_fits(case, chosen) > incumbent
    if proved and best is not None and best > incumbent:
        assert check_fits(case, chosen) == best


def test_two_requests_by_hand() -> None:
    """Both together gain 4 s but take 3 of 2 tokens; the first alone gains 3 s, and the third gives a block back.

    Prices are 1 s a block and 2 s a token, the slack 1 block and 2 tokens, so that the bound is 5 s.
    """
    case = Case((1, 2), [[(1, (0, 2))], [(0, (-1, 1))], [(0, (-1, 0)), (4, (1, 1))]], (1, 2))
    assert [case.gain(row) for each in case.requests for row in each] == [3, 1, -1, -1]
    assert case.best() == 3
    chosen, proved = solve(case, 0)
    assert case.choices()[2][chosen].tolist() == [1.0] and proved


def test_many_states_that_take_the_same_are_merged() -> None:
    """Ten requests of two alternatives each have 59,049 choices, of which a hundred and some take different amounts."""
    requests: list[list[Row]] = [[(i % 3, (1, 0)), ((i + 1) % 4, (0, 1))] for i in range(10)]
    case = Case((2, 2), requests, (4, 3))
    _, proved = solve(case, case.bound - 20, beam=200)
    chosen, _ = solve(case, case.bound - 20)
    assert proved and check_fits(case, chosen) == case.best()


@pytest.mark.parametrize("work", [0, 3])
def test_at_the_limit_of_work_nothing_is_proved(work: int) -> None:
    """The incumbent stays, or what was found by then."""
    case = Case((1,), [[(0, (1,))], [(0, (1,))], [(0, (1,))]], (3,))
    chosen, proved = solve(case, 0, max_work=work)
    assert not proved
    assert chosen is None or check_fits(case, chosen) < 3
    assert solve(case, 0, max_work=100)[1]


@pytest.mark.parametrize("seed", range(5))
def test_it_can_be_left_before_the_end(seed: int) -> None:
    """After at most `PAUSE` pairs and those of one alternative; what is chosen by then fits and only gets better."""
    rng, beam = np.random.default_rng(seed), 300
    takes = rng.integers(-20, 20, (40, 2, 3)).tolist()
    requests: list[list[Row]] = [[(int(rng.integers(9)), tuple(take)) for take in each] for each in takes]
    case = Case((3, 2, 1), requests, (-7, 5, 3))
    found = list(steps(case, case.bound - 60, beam, WIDE))
    assert len(found) > 5
    assert all(after[2] - before[2] <= PAUSE + beam for before, after in pairwise(found))
    gains = [check_fits(case, chosen) for chosen, _, _ in found if chosen is not None]
    assert gains and gains == sorted(gains)


def test_nobody_has_an_alternative() -> None:
    """Then nothing is better, and that is proved."""
    assert solve(Case((1,), [[]], (2,)), 1) == (None, True)
