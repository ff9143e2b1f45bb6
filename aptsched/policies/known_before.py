"""What a policy remembers of requests, moved to where they stand in the next view."""

from __future__ import annotations

import numpy as np

from aptsched.support.checks import Bools, Ints


def known_before(before: Ints, now: Ints) -> tuple[Bools, Ints]:
    """Which of the requests now, [n], were there before, and at which of the places before, [k], in the same order.

    Parameters
    ----------
    before, now : int array
        Numbers of requests, each once.
    """
    order = np.argsort(before, kind="stable")
    at = np.searchsorted(before, now, sorter=order)
    known = np.zeros(len(now), np.bool_)
    inside = np.flatnonzero(at < len(order))
    known[inside] = before[order[at[inside]]] == now[inside]
    return known, order[at[known]]
