"""Reduction by bounds: no selection better than the incumbent is lost, held against enumeration in fractions."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.knapsack.relaxation import relax
from aptsched.knapsack.residual import Residual, reduce
from references import BY_HAND
from residuals import residuals, selections, used, worth
from solvers.core.alternatives import Alternatives, Pricing


def priced(residual: Residual) -> Pricing:
    """At the multipliers of its LP, with all limits that it has."""
    return Pricing(residual, relax(residual), np.flatnonzero(np.isfinite(residual.limits)))


def losses(pricing: Pricing, option: tuple[int, ...]) -> float:
    """What the options lose in all."""
    return math.fsum(float(pricing.loss[f, i]) for i, f in enumerate(option))


def some(*rows: tuple[int, int, float, float, int]) -> Alternatives:
    """Of (request, option, loss, gain, take)."""
    request, option, loss, gain, take = np.array(rows, np.float64).reshape(-1, 5).T
    return Alternatives(request.astype(int), option.astype(int), loss, gain, take.astype(int)[None])


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_no_selection_is_worth_more_than_the_bound_less_its_losses(residual: Residual) -> None:
    """Within the rounding that is stated; the LP's options lose nothing."""
    pricing = priced(residual)
    for option in selections(residual):
        most = Fraction(pricing.bound) - Fraction(losses(pricing, option)) + Fraction(pricing.rounding)
        assert worth(residual, option) <= most
    assert losses(pricing, tuple(pricing.star.tolist())) == 0.0
    assert (pricing.loss >= 0).all()


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_the_slack_is_what_the_best_options_leave(residual: Residual) -> None:
    """Of each limit, and negative where they take more than there is."""
    pricing = priced(residual)
    taken = zip(residual.limits, used(residual, pricing.star.tolist()), strict=True)
    assert pricing.slack.tolist() == [limit - amount for limit, amount in taken if limit < math.inf]
    assert math.isclose(pricing.star_gain, worth(residual, pricing.star.tolist()), rel_tol=1e-12)


@settings(max_examples=200)
@given(residuals(extreme=False), st.data())
def test_a_better_selection_is_among_the_alternatives(residual: Residual, data: st.DataObject) -> None:
    """Of all that are better than any incumbent, one as good as the best has the LP's options but for these."""
    pricing, every = priced(residual), list(selections(residual))
    incumbent = data.draw(st.sampled_from(every))
    best = max(worth(residual, option) for option in every)
    gap = pricing.gap(np.array(incumbent))
    found = pricing.alternatives(gap)
    allowed = {(i, int(f)) for i, f in enumerate(pricing.star)} | set(
        zip(found.request.tolist(), found.option.tolist(), strict=True)
    )
    reachable = [worth(residual, option) for option in every if all((i, f) in allowed for i, f in enumerate(option))]
    rounding = Fraction(pricing.rounding)
    assert max([worth(residual, incumbent), *reachable]) >= best - rounding
    assert gap > 0 or worth(residual, incumbent) >= best - rounding


@settings(max_examples=200)
@given(residuals(extreme=False), st.sampled_from([0.0, 0.5, 3.0, math.inf]))
def test_an_alternative_says_what_it_loses_gains_and_takes_more(residual: Residual, gap: float) -> None:
    """Than the LP's option of its request; each that loses no more than the gap is there once."""
    pricing = priced(residual)
    near = pricing.near(gap)
    expected = {(i, f) for f, i in np.argwhere(pricing.loss <= gap).tolist() if pricing.star[i] != f}
    assert sorted(zip(near.request.tolist(), near.option.tolist(), strict=True)) == sorted(expected)
    for at, (i, f) in enumerate(zip(near.request.tolist(), near.option.tolist(), strict=True)):
        star = pricing.star[i]
        assert near.loss[at] == pricing.loss[f, i]
        assert near.gain[at] == pricing.gain[f, i] - pricing.gain[star, i] or near.loss[at] == math.inf
        assert near.take[:, at].tolist() == (pricing.options.take[:, f, i] - pricing.options.take[:, star, i]).tolist()


def test_requests_come_by_their_least_loss() -> None:
    """Each with all its alternatives, the cheapest first."""
    found = some(
        (0, 1, 3.0, 0, 0), (2, 1, 2.0, 0, 0), (0, 2, 1.0, 0, 0), (2, 2, 5.0, 0, 0), (1, 1, 1.5, 0, 0)
    ).by_request()
    assert found.request.tolist() == [0, 0, 1, 2, 2]
    assert found.loss.tolist() == [1.0, 3.0, 1.5, 2.0, 5.0]
    assert found.starts.tolist() == [0, 2, 3]
    assert found.stages() == [slice(0, 2), slice(2, 3), slice(3, 5)]
    assert found.of_first(2).loss.tolist() == [1.0, 3.0, 1.5]
    assert found.of_first(3) is found
    assert some().by_request().stages() == []
    equal = some((3, 2, 4.0, 0, 0), (5, 2, 2.0, 0, 0), (5, 1, 1.0, 0, 0), (3, 1, 1.0, 0, 0)).by_request()
    assert equal.request.tolist() == [3, 3, 5, 5] and equal.loss.tolist() == [1.0, 4.0, 1.0, 2.0]


def test_of_many_that_take_the_same_only_as_many_as_the_gap_pays_for() -> None:
    """Ten requests of 1 s in a block each, more than four blocks hold: exchanging one for another changes nothing."""
    values = np.linspace(2.0, 1.1, 10)[:, None]
    residual = reduce(BatchProblem(values, np.ones((10, 1), np.int64), 4))
    pricing = priced(residual)
    kept = pricing.alternatives(0.35)
    served = pricing.star[kept.request] == 1
    near = pricing.near(0.35)
    assert len(kept.request) < len(near.request)
    for group, all_of_it in ((served, pricing.star[near.request] == 1), (~served, pricing.star[near.request] == 0)):
        spent = np.cumsum(np.sort(near.loss[all_of_it]))
        assert sorted(kept.loss[group]) == sorted(near.loss[all_of_it])[: int((spent <= 0.35 * (1 + 1e-9)).sum())]


def test_the_better_of_two_selections() -> None:
    """The alternatives chosen, where that is worth more and fits; else the selection given."""
    residual = reduce(replace(BY_HAND, capacity=8))
    pricing = Pricing(residual, relax(residual)._replace(price=(0.6, 0.0, 0.0)), np.array([0]))
    near = pricing.near(math.inf)
    none = np.zeros(0, np.int64)
    worse = np.array([2, 0, 2, 2])
    assert pricing.better(worse, near, none).tolist() == pricing.star.tolist() == [2, 1, 2, 2]
    heavier = np.flatnonzero((near.request == 0) & (near.option == 1))
    assert pricing.better(worse, near, heavier) is worse
    assert pricing.changed(near, heavier).tolist() == [1, 1, 2, 2]
