"""Reduction by bounds: no selection better than the incumbent is lost, held against enumeration in fractions."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.knapsack.relaxation import relax
from aptsched.knapsack.residual import Residual, reduce
from references import BY_HAND
from residuals import reduced_costs, residuals, selections, used, worth
from solvers.core.alternatives import CHUNK, Pricing, best_options, gain_of
from solvers.core.exact import limited

CLOSE = 1e-12  # of what is added up


def priced(residual: Residual) -> Pricing:
    """At the multipliers of its LP, with all limits that it has."""
    return Pricing(residual, relax(residual), limited(residual))


def losses(residual: Residual, pricing: Pricing, option: tuple[int, ...]) -> Fraction:
    """What the options lose in all, exactly."""
    costs = [reduced_costs(residual, pricing.prices, i) for i in range(residual.num_requests)]
    return sum((max(reduced) - reduced[f] for reduced, f in zip(costs, option, strict=True)), Fraction(0))


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_no_selection_is_worth_more_than_the_bound_less_its_losses(residual: Residual) -> None:
    """Within the rounding that is stated; the LP's options lose next to nothing."""
    pricing = priced(residual)
    for option in selections(residual):
        most = Fraction(pricing.bound) - losses(residual, pricing, option) + Fraction(pricing.rounding)
        assert worth(residual, option) <= most
    assert losses(residual, pricing, tuple(pricing.star.tolist())) <= Fraction(pricing.rounding)


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_the_slack_is_what_the_best_options_leave(residual: Residual) -> None:
    """Of each limit, and negative where they take more than there is."""
    pricing = priced(residual)
    taken = zip(residual.limits, used(residual, pricing.star.tolist()), strict=True)
    assert pricing.slack == [limit - amount for limit, amount in taken if limit < math.inf]
    assert math.isclose(pricing.star_gain, worth(residual, pricing.star.tolist()), rel_tol=CLOSE)
    assert pricing.star_gain == pricing.worth(pricing.star)


@settings(max_examples=200)
@given(residuals(extreme=False), st.data())
def test_a_better_selection_is_among_the_alternatives(residual: Residual, data: st.DataObject) -> None:
    """Of all that are better than any incumbent, each has the LP's options but for these."""
    pricing, every = priced(residual), list(selections(residual))
    incumbent = data.draw(st.sampled_from(every))
    gap = pricing.gap(pricing.worth(np.array(incumbent)))
    found = pricing.near(gap)
    allowed = {(i, int(f)) for i, f in enumerate(pricing.star)} | set(
        zip(found.request.tolist(), found.option.tolist(), strict=True)
    )
    rounding = Fraction(pricing.rounding)
    for option in every:
        if worth(residual, option) > worth(residual, incumbent) + rounding:
            assert gap > 0 and all((i, f) in allowed for i, f in enumerate(option))


@settings(max_examples=200)
@given(residuals(extreme=False), st.sampled_from([0.0, 0.5, 3.0, math.inf]))
def test_an_alternative_says_what_it_loses_gains_and_takes_more(residual: Residual, gap: float) -> None:
    """Than the LP's option of its request; each offered one that loses no more than the gap is there once."""
    pricing = priced(residual)
    near, expected = pricing.near(gap), []
    for i, star in enumerate(pricing.star.tolist()):
        costs = reduced_costs(residual, pricing.prices, i)
        for f in range(len(costs)):
            if f != star and (f == 0 or residual.gain[f - 1, i] > 0):
                expected.append((i, f, costs[star] - costs[f]))
    found = dict(zip(zip(near.request.tolist(), near.option.tolist(), strict=True), near.loss.tolist(), strict=True))
    assert len(found) == len(near.request) and set(found) <= {(i, f) for i, f, _ in expected}
    rounding = Fraction(pricing.rounding)
    for i, f, loss in expected:
        if (i, f) in found:
            assert abs(Fraction(found[i, f]) - loss) <= rounding
        else:
            assert loss > Fraction(gap) - rounding
    for at, (i, f) in enumerate(found):
        alone = [0] * residual.num_requests
        alone[i], other = f, [0] * residual.num_requests
        other[i] = int(pricing.star[i])
        more = zip(used(residual, alone), used(residual, other), residual.limits, strict=True)
        assert near.take[:, at].tolist() == [new - old for new, old, limit in more if limit < math.inf]
        assert near.gain[at] == float(worth(residual, alone)) - float(worth(residual, other))


def test_alternatives_come_request_by_request() -> None:
    """All others of four requests of two forms: three options each, less the LP's own."""
    near = priced(reduce(replace(BY_HAND, capacity=8))).near(math.inf)
    assert near.request.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert near.starts.tolist() == [0, 2, 4, 6]
    assert near.stages() == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]


def test_the_lps_options_with_those_chosen() -> None:
    """Eight blocks: all hidden but request 1; with the alternative chosen request 0 has KV, too."""
    residual = reduce(replace(BY_HAND, capacity=8))
    pricing = Pricing(residual, relax(residual)._replace(price=(0.6, 0.0, 0.0)), [0])
    near = pricing.near(math.inf)
    heavier = np.flatnonzero((near.request == 0) & (near.option == 1))
    assert pricing.star.tolist() == [2, 1, 2, 2]
    assert pricing.changed(near, heavier).tolist() == [1, 1, 2, 2]


def test_sums_of_many_are_rounded_little() -> None:
    """Of a hundred thousand terms by at most a few hundred roundings, where one after another had as many as terms."""
    n = 100_000
    gain = np.random.default_rng(1).random((1, n))
    zeros, star = np.zeros(n, np.int64), np.empty(n, np.int64)
    gain.setflags(write=False)
    best, best_gain, *_ = best_options(gain, zeros[None], zeros, zeros, 0.0, 0.0, 0.0, star)
    exact = math.fsum(gain[0].tolist())
    assert star.all() and best == best_gain == gain_of(gain, star)
    assert abs(best - exact) <= (CHUNK + n // CHUNK) * 2.0**-53 * exact
