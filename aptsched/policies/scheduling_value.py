"""The value of serving a request now: Apt-Serve, sections 4.2 and 5."""

from __future__ import annotations

import numpy as np

from aptsched.scheduling.view import View
from aptsched.support.arrays import any_of, pairwise_sum
from aptsched.support.checks import Floats, Ints

FALLBACKS = ("paper", "decaying", "none")
LEAST_PENDING_S = 1e-6  # of a request that arrived just now, where iterations are predicted to take no time
NEAR_ZERO = 1e-6  # share of the pending time


def scheduling_value(view: View, rows: Ints, duration_s: float, fallback: str) -> Floats:
    """Pending times at the end of an iteration of that duration, [r], above 0 s; less where an objective is missed.

    Parameters
    ----------
    view : View
    rows : int array, [r]
    duration_s : float
    fallback : str
        Value of a request whose token was late, or will be even if it is served now. "paper": near zero. "decaying":
        it falls again from the objective on, as objective^2 / pending time. "none": its pending time.
    """
    pending_s: Floats = np.maximum(view.now_s + duration_s - view.pending_since_s[rows], LEAST_PENDING_S)
    if fallback == "none":
        return pending_s
    objective_s = view.objective_s[rows]
    if fallback == "decaying":
        pending_s *= np.minimum(objective_s / pending_s, 1.0) ** 2
        return pending_s
    late = view.missed_slo[rows] | (pending_s > objective_s)
    if any_of(late):
        pending_s *= np.where(late, NEAR_ZERO, 1.0)
    return pending_s


def longer_pending(view: View, waiting: Ints, running: Ints) -> bool:
    """Whether the pending times of the waiting requests add up to at least those of the running ones."""
    pending_s = np.maximum(view.now_s - view.pending_since_s, 0.0)
    return bool(pairwise_sum(pending_s[waiting]) >= pairwise_sum(pending_s[running]))
