"""Whether a run keeps up with what arrives, and the highest rate at which a level of attainment holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aptsched.scheduling.record import Outcome
from aptsched.support import checks
from aptsched.support.checks import Bools, Floats
from aptsched.support.errors import InputError

MOST_S, TIMES_ALONE = 60.0, 3.0  # a request ends in time within so many seconds and so many times its time alone
PERCENT = 99  # of the admitted requests that have to
NOT_ADMITTED = (Outcome.REJECTED, Outcome.ABORTED)  # aborted ones ended because their client wanted it


def in_time(latency_s: Floats, outcomes: Sequence[Outcome], alone_s: Floats) -> Bools:
    """Whether each of the admitted requests ends within 60 s + 3 times its time alone after it arrived, [a].

    Parameters
    ----------
    latency_s : float array, [r]
        nan of requests that did not finish: these did not end in time.
    outcomes : sequence of Outcome, [r]
    alone_s : float array, [r]
        Seconds that each request takes with no other beside it.
    """
    admitted = np.array([outcome not in NOT_ADMITTED for outcome in outcomes], np.bool_)
    found: Bools = latency_s[admitted] <= MOST_S + TIMES_ALONE * alone_s[admitted]
    return found


def is_stable(num_in_time: int, num_admitted: int) -> bool | None:
    """Whether 99% of the admitted requests end in time.

    Returns
    -------
    bool or None
        None if no request was admitted: all were rejected, or aborted by who sent them.
    """
    return 100 * num_in_time >= PERCENT * num_admitted if num_admitted else None


def highest_rate(
    rates_per_s: npt.ArrayLike, shares: npt.ArrayLike, level: float, stable: Sequence[bool | None] | None = None
) -> float:
    """The highest request rate up to which the share of requests that attain their objectives holds a level.

    Parameters
    ----------
    rates_per_s : array_like of float, [k]
        Rising.
    shares : array_like of float, [k]
        Attained at each rate.
    level : float
        0.9 is 90%.
    stable : sequence of bool or None, [k], optional
        Whether the run at each rate was stable, None where nobody knows. An unstable run holds nothing.

    Returns
    -------
    float
        The rate at which the share falls below the level, on the straight line between the last rate that holds it,
        counted from the lowest, and the next; that last rate itself if the run at the next was not stable. Rates beyond
        do not count. If all rates hold the level, the highest one, a lower bound; nan if the lowest does not hold it.
    """
    rates, attained = checks.floats("rates_per_s", rates_per_s, ndim=1), checks.floats("shares", shares, ndim=1)
    if rates.shape != attained.shape:
        raise InputError(f"shares: shape {list(attained.shape)} does not match; {list(rates.shape)} is needed")
    if not (np.diff(rates) > 0).all():
        raise InputError(f"rates_per_s: {rates.tolist()} is not accepted; rates that rise are")
    unstable = np.array([False] * len(rates) if stable is None else [verdict is False for verdict in stable], np.bool_)
    missed = np.flatnonzero((attained < level) | unstable)
    if not missed.size:
        return float(rates[-1])
    after = int(missed[0])
    if after == 0:
        return math.nan
    before = after - 1
    if unstable[after]:
        return float(rates[before])
    share = (attained[before] - level) / (attained[before] - attained[after])
    return float(rates[before] + share * (rates[after] - rates[before]))
