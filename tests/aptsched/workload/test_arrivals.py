"""Arrival processes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.support.errors import InputError
from aptsched.workload.arrivals import gamma_arrivals


@pytest.mark.parametrize(("cv", "tolerance"), [(0.0, 1e-9), (0.5, 0.02), (1.0, 0.02), (4.0, 0.1), (13.2, 0.25)])
def test_mean_and_cv_of_the_gaps(cv: float, tolerance: float) -> None:
    """Gaps have mean 1 / rate and the given CV, within the noise of 200,000 gaps."""
    gaps = np.diff(gamma_arrivals(200_000, 2.5, cv, np.random.default_rng(3)), prepend=0.0)
    assert gaps.mean() == pytest.approx(0.4, rel=max(1e-9, 4 * cv / 200_000**0.5))
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=tolerance, abs=1e-9)


def test_cv_1_is_a_poisson_process() -> None:
    """With CV 1 gaps are exponential: the share beyond t is exp(-rate t)."""
    gaps = np.diff(gamma_arrivals(100_000, 2.0, 1.0, np.random.default_rng(4)), prepend=0.0)
    for t in (0.1, 0.5, 1.5):
        assert (gaps > t).mean() == pytest.approx(np.exp(-2 * t), abs=0.007)


def test_cv_0_spaces_evenly() -> None:
    """With CV 0 arrivals are evenly spaced, the first one gap after 0."""
    assert gamma_arrivals(4, 2.0, 0.0, np.random.default_rng(0)).tolist() == [0.5, 1.0, 1.5, 2.0]


@given(st.integers(1, 50), st.floats(1e-6, 1e6), st.floats(0, 100), st.integers(0, 2**32))
def test_arrivals_are_finite_and_in_order(num_requests: int, rate_per_s: float, cv: float, seed: int) -> None:
    """Any accepted parameters give finite arrivals in order, the same from the same seed."""
    arrived = gamma_arrivals(num_requests, rate_per_s, cv, np.random.default_rng(seed))
    assert arrived.shape == (num_requests,)
    assert np.isfinite(arrived).all()
    assert (np.diff(arrived, prepend=0.0) >= 0).all()
    assert np.array_equal(arrived, gamma_arrivals(num_requests, rate_per_s, cv, np.random.default_rng(seed)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_requests": 0}, "num_requests: 0 is not accepted; a whole number from 1 to 2**32 is"),
        ({"num_requests": 2.5}, "num_requests: 2.5 is not accepted; a whole number from 1 to 2**32 is"),
        ({"rate_per_s": 0}, "rate_per_s: 0 is not accepted; a number from 1e-06 to 1e+06 is"),
        ({"rate_per_s": float("nan")}, "rate_per_s: nan is not finite; finite numbers are accepted"),
        ({"cv": -1.0}, "cv: -1.0 is not accepted; a number from 0 to 100 is"),
        ({"cv": "x"}, "cv: entries of type <U1 are not accepted; numbers are"),
    ],
)
def test_bad_parameters(changed: dict[str, Any], message: str) -> None:
    """A parameter out of range is refused with its name, value and what is accepted."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        gamma_arrivals(rng=np.random.default_rng(0), **{"num_requests": 3, "rate_per_s": 1.0, "cv": 1.0, **changed})
