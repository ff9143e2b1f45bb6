"""Sums of many terms are correctly rounded, whatever they cancel, tie or span."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.problem.exact_sum import exact_sum

MANY = 301


def exactly(terms: np.ndarray) -> float:
    """The exact sum, rounded once."""
    return float(sum(map(Fraction, terms.tolist())))


@given(st.integers(0, 2**32 - 1), st.integers(MANY, 3000), st.integers(-60, 60), st.integers(0, 40), st.booleans())
def test_rounded_once(seed: int, count: int, exponent: int, spread: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    terms = np.ldexp(rng.random(count), exponent + rng.integers(-spread, spread + 1, count))
    if signed:
        terms *= rng.choice([-1.0, 1.0], count)
    assert exact_sum(terms) == exactly(terms)


@pytest.mark.parametrize("ones", [0, 1, 2, 3])
@pytest.mark.parametrize("ulps", [0.5, 1.0, 1.5, 0.5 + 2.0**-50, 0.5 - 2.0**-50])
def test_ties_and_next_to_them(ones: int, ulps: float) -> None:
    """2**53 and a little: exactly halfway between two floats, and just off it."""
    terms = np.zeros(MANY)
    terms[0], terms[1 : 1 + ones], terms[-1] = 2.0**53, 1.0, 2 * ulps
    assert exact_sum(terms) == exactly(terms)


def test_all_cancels_but_the_last_bits() -> None:
    terms = np.concatenate([np.full(MANY, 1e30), np.full(MANY, -1e30), [1e-30]])
    assert exact_sum(terms) == 1e-30


@pytest.mark.parametrize("size", [2.0**940, 2.0**500, 2.0**-500, 2.0**-1060, 0.0])
def test_sizes_at_the_ends_of_the_range(size: float) -> None:
    terms = np.full(MANY, size)
    terms[1::2] *= 0.75
    with np.errstate(all="raise"):
        assert exact_sum(terms) == math.fsum(terms.tolist())
