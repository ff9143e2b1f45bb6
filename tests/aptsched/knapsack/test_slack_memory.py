"""The relaxation where memory is slack, held against linear programmes in fractions and against the walk."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.knapsack.dual import minimum
from aptsched.knapsack.options import Options
from aptsched.knapsack.residual import Residual, reduce
from aptsched.knapsack.slack_memory import OPEN, likely, most_valuable, near_likely, tangent, without_memory
from residuals import bound, fits, lp_optimum, residuals

CLOSE = Fraction(1, 10**9)  # of the optimum: what floats may miss


def many(n: int, seed: int, share: float, seqs: float, equal: bool = False) -> Residual:
    """Requests of one form and no blocks to speak of, under a token budget and a sequence limit."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 5, n).astype(np.float64) if equal else rng.integers(1, 10**6, n) / 1024
    tokens = rng.integers(1, 4, n) if equal else rng.integers(1, 600, n)
    problem = BatchProblem(
        values[:, None], np.ones((n, 1), np.int64), 2 * n, tokens, int(tokens.sum() * share), int(n * seqs)
    )
    residual = reduce(problem)
    assert residual.limits[0] == math.inf and max(residual.limits[1:]) < math.inf
    return residual


def of_one(residual: Residual) -> Options:
    return Options.of_one(residual, residual.gain[0], np.array([1, 2]))


@given(residuals())
def test_the_most_valuable_option_is_the_lightest_of_equals(residual: Residual) -> None:
    """Of each request, whatever the others have."""
    found = most_valuable(residual).tolist()
    for gains, blocks, option in zip(residual.gain.T.tolist(), residual.blocks.T.tolist(), found, strict=True):
        assert gains[option - 1] == max(gains)
        assert blocks[option - 1] == min(w for g, w in zip(gains, blocks, strict=True) if g == max(gains))


@settings(max_examples=200)
@given(residuals(extreme=False))
def test_what_is_found_without_memory_is_the_optimum_with_it(residual: Residual) -> None:
    """Or nothing is found, which is only so where memory has a limit."""
    found = without_memory(residual)
    if found is None:
        assert residual.limits[0] < math.inf
        return
    option, price = found
    optimum = lp_optimum(residual)
    assert fits(residual, option.tolist()) and price[0] == 0
    assert optimum <= bound(residual, price) <= optimum * (1 + CLOSE)


def test_memory_that_is_short_is_left_to_the_walk() -> None:
    """The three best of twelve take 9 blocks, and whoever is fractional beside them one more."""
    values, weights = np.arange(12.0, 0.0, -1.0)[:, None], np.array([3] * 3 + [1] * 9)[:, None]
    for capacity, is_found in ((10, True), (8, False)):
        residual = reduce(BatchProblem(values, weights, capacity, max_seqs=3))
        assert (without_memory(residual) is not None) == is_found


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("seqs", [0.05, 0.4, 0.95])
def test_deciding_most_requests_beforehand_changes_no_bound(share: float, seqs: float, equal: bool) -> None:
    """As the walk over all of them: the multipliers prove the same, at most two are fractional, the rest is best."""
    residual = many(300, 5, share, seqs, equal)
    options = of_one(residual)
    found = near_likely(options)
    _, (per_token, per_seq), _ = minimum(options)
    least = bound(residual, (0.0, per_token, per_seq))
    assert found is not None
    option, multipliers, fractional = found
    assert abs(bound(residual, (0.0, *multipliers)) - least) <= least * CLOSE
    assert fits(residual, option.tolist()) and len(fractional) <= 2
    net = options.gain[1] - options.cost(np.array(multipliers))[1]
    wrong = np.where(option > 0, -net, net) > float(least * CLOSE)
    wrong[fractional] = False
    assert not wrong.any()


def test_likely_multipliers_that_mislead_are_walked_on_from() -> None:
    """Of two thousand requests more than are left open decide otherwise at the multipliers that are optimal."""
    residual = many(2000, 0, 0.3, 0.4)
    options = of_one(residual)
    found = near_likely(options)
    assert found is not None
    option, multipliers, _ = found
    net = options.gain[1] - options.cost(likely(options.gain[1], options.take[0, 1], options.limits.tolist()))[1]
    decided = np.abs(net) > np.sort(np.abs(net))[OPEN]
    assert ((net > 0) != option)[decided].sum() > 10, "nobody is misled"
    _, walked, _ = minimum(options)
    least = bound(residual, (0.0, *walked))
    assert abs(bound(residual, (0.0, *multipliers)) - least) <= least * CLOSE
    assert fits(residual, option.tolist())


def test_few_requests_or_one_limit_are_left_to_the_walk() -> None:
    """Where nothing is to be saved."""
    assert near_likely(of_one(many(2 * OPEN, 1, 0.3, 0.4))) is None
    assert near_likely(of_one(many(2 * OPEN + 1, 1, 0.3, 0.4))) is not None
    residual = many(300, 1, 0.3, 0.4)
    assert near_likely(Options.of_one(residual, residual.gain[0], np.array([1]))) is None


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), min_size=2, max_size=12),
    st.integers(0, 30),
    st.integers(0, 11),
    st.integers(0, 24),
)
def test_the_tangent_has_the_best_price_of_sequences(
    pairs: list[tuple[int, int]], max_tokens: int, max_seqs: int, eighths: int
) -> None:
    """No other price of sequences proves less; the tokens left are those of a selection that is best at both prices."""
    assume(max_seqs < len(pairs))  # as where it is a limit
    price = eighths / 8
    gain, tokens = np.array(pairs, np.float64).T.copy()
    at = tangent(gain, tokens, [float(max_tokens), float(max_seqs)], price)
    net = [Fraction(g) - Fraction(price) * t for g, t in pairs]

    def proved(per_seq: Fraction) -> Fraction:
        paid = Fraction(price) * max_tokens + per_seq * max_seqs
        return paid + sum((max(each - per_seq, Fraction(0)) for each in net), Fraction(0))

    assert at.bound == proved(Fraction(at.seq_price)) == min(map(proved, {Fraction(0), *(n for n in net if n > 0)}))
    above = sum(t for (_, t), n in zip(pairs, net, strict=True) if n > at.seq_price)
    tied = sum(t for (_, t), n in zip(pairs, net, strict=True) if n == at.seq_price)
    assert above <= max_tokens - at.left <= above + tied


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("seqs", [0.05, 0.4, 0.95])
def test_the_likely_multipliers_prove_little_more_than_the_best(share: float, seqs: float) -> None:
    """Within a hundredth of the optimum, and never below it."""
    residual = many(400, 7, share, seqs)
    options = of_one(residual)
    price = likely(options.gain[1], options.take[0, 1], options.limits.tolist())
    _, multipliers, _ = minimum(options)
    least = bound(residual, (0.0, *multipliers))
    assert least * (1 - CLOSE) <= bound(residual, (0.0, *price.tolist())) <= least * Fraction(101, 100)


def test_tokens_that_suffice_cost_nothing() -> None:
    """Where the best under the sequence limit stay within the budget."""
    price = likely(np.array([5.0, 4.0, 3.0, 2.0]), np.array([1.0, 2.0, 9.0, 9.0]), [3.0, 2.0])
    assert price.tolist() == [0.0, 4.0]
