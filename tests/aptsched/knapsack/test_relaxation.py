"""The relaxation rounded down, held against the optimum of the linear programme in fractions."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given, settings

from aptsched import BatchProblem
from aptsched.knapsack.greedy import multipliers
from aptsched.knapsack.relaxation import Relaxation, knapsack, relax, within_all
from aptsched.knapsack.residual import Residual, reduce
from references import BY_HAND
from residuals import bound, fits, lp_optimum, residuals, used, worth

CLOSE = Fraction(1, 10**9)  # of the optimum: what floats may miss


def check_relaxation(residual: Residual, found: Relaxation) -> None:
    """All that is said of one."""
    optimum, d = lp_optimum(residual), sum(math.isfinite(limit) for limit in residual.limits)
    option = found.option.tolist()
    assert fits(residual, option)
    assert min(found.price) >= 0
    assert optimum <= bound(residual, found.price) <= optimum * (1 + CLOSE)
    for free, limit, amount in zip(found.room, residual.limits, used(residual, option), strict=True):
        assert free == limit - amount
    if found.single is None:
        assert worth(residual, option) >= optimum * (1 - CLOSE)
    else:
        request, single = found.single
        assert fits(residual, [single if i == request else 0 for i in range(len(residual.tokens))])
        alone = Fraction(residual.gain[single - 1, request].item())
        assert worth(residual, option) + d * alone >= optimum * (1 - CLOSE)


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_the_multipliers_are_optimal_and_the_options_within_one_request_a_limit(residual: Residual) -> None:
    """Under any limits: feasible, what is left is said, and one single option makes up for each fractional request."""
    check_relaxation(residual, relax(residual))


@settings(max_examples=200)
@given(residuals(side_constraints=False))
def test_memory_alone(residual: Residual) -> None:
    """The split of the increments, at values of any size."""
    found = knapsack(residual)
    check_relaxation(residual, found)
    assert found.price[1:] == (0.0, 0.0)


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_refilling_keeps_the_multipliers_and_loses_nothing(residual: Residual) -> None:
    """What still fits after the LP's is taken, beside a token budget and a sequence limit too."""
    plain, refilled = relax(residual), relax(residual, refill=True)
    assert refilled.price == plain.price and refilled.single == plain.single
    assert worth(residual, refilled.option.tolist()) >= worth(residual, plain.option.tolist())
    assert fits(residual, refilled.option.tolist())


def test_four_requests_by_hand() -> None:
    """With 8 blocks all are hidden, and a block is left for KV of request 1 (0.75 s): the next is 0.5 s a block."""
    found = relax(reduce(replace(BY_HAND, capacity=8)))
    assert found.option.tolist() == [2, 1, 2, 2]
    assert found.price == (0.5, 0.0, 0.0)
    assert found.room == (0.0, math.inf, math.inf)


def test_a_fractional_request_has_the_lightest_of_what_it_mixes() -> None:
    """A block is left beside hidden states and KV of request 1; KV of request 0 takes two, of which it gets half."""
    found = relax(reduce(replace(BY_HAND, capacity=9)))
    assert found.option.tolist() == [2, 1, 2, 2]
    assert found.single == (0, 1) and found.room[0] == 1.0


def test_where_memory_suffices_all_have_their_best() -> None:
    """Nothing is fractional, and a block is worth nothing."""
    found = relax(reduce(replace(BY_HAND, capacity=100)))
    assert (found.option.tolist(), found.single, found.price) == ([1, 1, 1, 1], None, (0.0, 0.0, 0.0))


def test_memory_decides_where_tokens_and_sequences_suffice_for_what_it_serves() -> None:
    """Request 0 is served in 2 of 3 blocks and half of request 1, which counts in whole: 6 tokens are enough, 5 not."""
    scarce, enough = (
        reduce(replace(BY_HAND, capacity=3, num_tokens=np.full(4, 3), max_tokens=max_tokens)) for max_tokens in (5, 6)
    )
    alone = knapsack(enough)
    assert within_all(scarce, knapsack(scarce)) is None
    assert within_all(enough, alone) == alone._replace(room=(1.0, 3.0, math.inf))


def test_what_is_refilled_never_loses_that_memory_decides() -> None:
    """A third request would leave no tokens for the fractional one, so that it is not taken."""
    residual = reduce(replace(BY_HAND, capacity=3, num_tokens=np.full(4, 3), max_tokens=6))
    assert within_all(residual, knapsack(residual, refill=True)) is None
    assert relax(residual, refill=True).price == knapsack(residual).price


def test_the_best_of_each_is_the_most_valuable_and_of_equals_the_lightest() -> None:
    """Where memory suffices for all, and of nobody who is offered nothing."""
    problem = BatchProblem([[3.0, 2.0], [2.0, 2.0], [-1.0, 0.0]], [[4, 1], [3, 2], [1, 1]], 9)
    assert knapsack(reduce(problem)).option.tolist() == [1, 2, 0]


def test_where_all_fit_also_what_gains_least_is_served() -> None:
    """The slope of the smallest gain in 3 blocks is rounded to 0; beside a large one no smaller unit is used."""
    found = knapsack(reduce(BatchProblem([[1.0, 0.5], [5e-324, 0.0]], [[4, 1], [3, 3]], 9)))
    assert (found.option.tolist(), found.room[0]) == ([1, 1], 2.0)


def test_multipliers_are_in_seconds_a_block() -> None:
    """Prices are counted in units of several blocks, and in units of less than a second where all gains are tiny."""
    found = Relaxation(np.zeros(1, np.int64), None, (6.0, 4.0, 2.0), (0.0, 0.0, 0.0))
    prices = multipliers(BY_HAND, reduce(BY_HAND)._replace(unit=3, unit_s=0.5), found)
    assert (prices.per_block_s, prices.per_token_s, prices.per_seq_s) == (1.0, 2.0, 1.0)


def test_the_single_option_is_worth_what_the_fraction_would_add() -> None:
    """1.5 s in a block keeps 10 s in 10 of 10 blocks out: the LP has 1.5 + 9 s, the single request alone has 10."""
    residual = reduce(BatchProblem([[10.0], [1.5]], [[10], [1]], 10))
    found = relax(residual)
    assert found.option.tolist() == [0, 1] and found.single == (0, 1)
    assert bound(residual, found.price) == lp_optimum(residual) == Fraction(21, 2)
