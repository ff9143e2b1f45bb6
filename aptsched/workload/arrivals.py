"""Arrival processes."""

from __future__ import annotations

import numpy as np

from aptsched.support.checks import Floats
from aptsched.workload import ranges


def gamma_arrivals(num_requests: int, rate_per_s: float, cv: float, rng: np.random.Generator) -> Floats:
    """Arrival times with independent gamma gaps, the first one gap after 0.

    Parameters
    ----------
    num_requests : int
        At least 1.
    rate_per_s : float
        Mean arrivals a second, from 1e-6 to 1e6: the mean gap is its inverse.
    cv : float
        Coefficient of variation of the gaps, from 0 to 100: the gamma shape is (1 / cv)**2. 1 is a Poisson process, 0
        (or less than 1e-6) spaces arrivals evenly, more than 1 is bursty.

    Returns
    -------
    float array, [num_requests]
        Seconds, in order; in bursts some can be equal.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.

    Source: Apt-Serve (SIGMOD 2025), figure 9.
    """
    num_requests = ranges.whole("num_requests", num_requests)
    mean_gap_s = 1 / ranges.number("rate_per_s", rate_per_s, 1e-6, 1e6)
    cv = ranges.number("cv", cv, 0, 100)
    if cv < 1e-6:
        return np.arange(1, num_requests + 1, dtype=np.float64) * mean_gap_s
    arrived: Floats = np.cumsum(rng.gamma(shape=cv**-2, scale=mean_gap_s * cv**2, size=num_requests))
    return arrived
