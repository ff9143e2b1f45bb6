"""Reduction by bounds: no selection better than the incumbent is lost, held against enumeration in fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.knapsack.relaxation import relax
from aptsched.knapsack.residual import Residual, reduce
from aptsched.problem.exact_sum import UNIT_ROUNDOFF
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import row_by_row
from references import BY_HAND
from residuals import bound, reduced_costs, residuals, selections, used, worth
from solvers.core.alternatives import ROUNDINGS, near
from solvers.core.exact import MOST, limited

Choice = tuple[int, ...]


class Alternatives(NamedTuple):
    """What `near` writes and returns, and the price that it is given."""

    price: tuple[float, float, float]
    star: Ints
    slack: Ints
    request: Ints
    option: Ints
    take: Ints
    loss: Floats
    gain: Floats
    gap: float
    incumbent: float
    rounding: float


def alternatives(
    residual: Residual, incumbent: Choice, price: tuple[float, float, float] | None = None
) -> Alternatives:
    """At the multipliers of its LP, or others, with all limits that it has, to a selection."""
    price, limited_ones, most = price or relax(residual).price, limited(residual), residual.gain.size
    unused = 3 - len(limited_ones)
    slack = np.array([0] * unused + [min(residual.limits[r], MOST) for r in limited_ones], np.int64)
    whole, real = np.empty((5, most), np.int64), (np.empty(most), np.empty(most))
    star, limits = np.empty(len(incumbent), np.int64), ((*price, 0.0), np.array([3] * unused + limited_ones), slack)
    given = (residual.options, limits, np.array(incumbent, np.int64), UNIT_ROUNDOFF, (whole, real, star))
    m, gap, worth_more, rounding = near(*given)
    table, (loss, gain) = whole[:, :m], (each[:m] for each in real)
    taken = table[2 + unused :]
    assert not table[2 : 2 + unused].any()
    return Alternatives(price, star, slack[unused:], table[0], table[1], taken, loss, gain, gap, worth_more, rounding)


def losses(residual: Residual, price: Sequence[float], option: Choice) -> Fraction:
    """What the options lose in all, exactly."""
    costs = [reduced_costs(residual, price, i) for i in range(len(option))]
    return sum((max(reduced) - reduced[f] for reduced, f in zip(costs, option, strict=True)), Fraction(0))


def nothing(residual: Residual) -> Choice:
    return (0,) * len(residual.tokens)


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_no_selection_is_worth_more_than_the_bound_less_its_losses(residual: Residual) -> None:
    """Within the rounding that is stated; the best options lose next to nothing, and the gap is that of the bound."""
    found = alternatives(residual, nothing(residual))
    best, rounding = bound(residual, found.price), Fraction(found.rounding)
    for option in selections(residual):
        assert worth(residual, option) <= best - losses(residual, found.price, option)
    assert losses(residual, found.price, tuple(found.star.tolist())) <= rounding
    assert best <= found.gap <= best + 2 * rounding or (found.gap == 0 and best <= rounding)


@settings(max_examples=200)
@given(residuals(extreme=False), st.data())
def test_the_slack_is_what_the_best_options_leave(residual: Residual, data: st.DataObject) -> None:
    """Of each limit, and negative where they take more than there is; the incumbent is what it gains above theirs."""
    incumbent = data.draw(st.sampled_from(list(selections(residual))))
    found = alternatives(residual, incumbent)
    star = tuple(found.star.tolist())
    limits, taken = residual.limits, used(residual, star)
    assert found.slack.tolist() == [min(limits[r], MOST) - taken[r] for r in limited(residual)]
    more = worth(residual, incumbent) - worth(residual, star)
    assert abs(Fraction(found.incumbent) - more) <= Fraction(found.rounding)


@settings(max_examples=200)
@given(residuals(extreme=False), st.data())
def test_a_better_selection_is_among_the_alternatives(residual: Residual, data: st.DataObject) -> None:
    """Of all that are better than any incumbent, each has the best options but for these."""
    every = list(selections(residual))
    incumbent = data.draw(st.sampled_from(every))
    found = alternatives(residual, incumbent)
    pairs = zip(found.request.tolist(), found.option.tolist(), strict=True)
    allowed = {*enumerate(found.star.tolist()), *pairs}
    for option in every:
        if worth(residual, option) > worth(residual, incumbent) + Fraction(found.rounding):
            assert found.gap > 0 and allowed.issuperset(enumerate(option))


@settings(max_examples=200)
@given(residuals(extreme=False), st.data())
def test_an_alternative_says_what_it_loses_gains_and_takes_more(residual: Residual, data: st.DataObject) -> None:
    """Than the best option of its request; each offered one that loses no more than the gap is there once."""
    found = alternatives(residual, data.draw(st.sampled_from(list(selections(residual)))))
    pairs, rounding = list(zip(found.request.tolist(), found.option.tolist(), strict=True)), Fraction(found.rounding)
    assert len(set(pairs)) == len(pairs) and pairs == sorted(pairs)
    for i, star in enumerate(found.star.tolist()):
        costs = reduced_costs(residual, found.price, i)
        for f in range(len(costs)):
            offered, loss = f != star and (f == 0 or residual.gain[f - 1, i] > 0), costs[star] - costs[f]
            if (i, f) in pairs:
                assert offered and abs(Fraction(found.loss[pairs.index((i, f))]) - loss) <= rounding
            else:
                assert not offered or found.gap == 0 or loss > Fraction(found.gap) - rounding
    for at, (i, f) in enumerate(pairs):
        alone, other = ([option if j == i else 0 for j in range(len(found.star))] for option in (f, found.star[i]))
        new, old = used(residual, alone), used(residual, other)
        assert found.take[:, at].tolist() == [new[r] - old[r] for r in limited(residual)]
        assert found.gain[at] == float(worth(residual, alone)) - float(worth(residual, other))


def test_four_requests_by_hand() -> None:
    """At 0.6 s a block all are hidden but request 1, which has KV: 8 blocks. KV of request 0 gains 1 s for two more.

    The incumbent, all hidden, gains 0.75 s less, which is the gap. So much no other form loses.
    """
    found = alternatives(reduce(replace(BY_HAND, capacity=8)), (2, 2, 2, 2), (0.6, 0.0, 0.0))
    assert found.star.tolist() == [2, 1, 2, 2] and found.slack.tolist() == [0]
    assert found.incumbent == -0.75 and found.gap == pytest.approx(0.75)
    assert (found.request.tolist(), found.option.tolist()) == ([0, 1, 2, 3], [1, 2, 1, 1])
    assert (found.gain.tolist(), found.take.tolist()) == ([1.0, -0.75, 1.0, 0.5], [[2, -1, 2, 1]])
    assert found.loss == pytest.approx([0.2, 0.15, 0.2, 0.1])


def test_of_many_requests_only_those_that_differ_are_rounded() -> None:
    """A hundred thousand served as at best but for ten: the gap is what those gain, which rounds ten times at most."""
    n = 100_000
    gain, none = row_by_row(np.random.default_rng(1).random((1, n))), row_by_row(np.zeros(n, np.int64))
    star, incumbent = np.empty(n, np.int64), (np.arange(n) % (n // 10) > 0).astype(np.int64)
    table = np.empty((5, n), np.int64), (np.empty(n), np.empty(n)), star
    resources = (0.0, 0.0, 0.0, 0.0), np.arange(3), np.zeros(3, np.int64)
    options = gain, row_by_row(none[None]), none, none
    _, gap, below, rounding = near(options, resources, incumbent, UNIT_ROUNDOFF, table)
    assert star.all() and rounding <= (ROUNDINGS + 21) * UNIT_ROUNDOFF * gain.sum()
    assert abs(math.fsum(gain[0, incumbent == 0].tolist()) + below) <= 10 * UNIT_ROUNDOFF * -below
    assert gap == pytest.approx(-below + rounding, rel=1e-12)
