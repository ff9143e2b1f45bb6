"""The one free scalar: by how much output lengths are scaled, so that vLLM holds 90% up to the published rate."""

from __future__ import annotations

from collections.abc import Callable

SHORTEST, LONGEST = 0.1, 2.0  # between which the scale is sought
WITHIN = 0.005


def fitted_scale(share_at: Callable[[float], float], level: float) -> float:
    """The scale at which the share ceases to be at least the level, by bisection, within `WITHIN`.

    Parameters
    ----------
    share_at : callable
        The share that attains with outputs so scaled; taken to fall with the scale.
    level : float
    """
    low, high = SHORTEST, LONGEST
    while high - low > WITHIN:
        middle = round((low + high) / 2, 4)
        low, high = (middle, high) if share_at(middle) >= level else (low, middle)
    return round(low, 3)
