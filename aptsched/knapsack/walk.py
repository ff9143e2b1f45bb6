"""The LP relaxation under several limits, exactly."""

from __future__ import annotations

import numpy as np

from aptsched.knapsack.dual import Price, minimum, priced
from aptsched.knapsack.options import Options
from aptsched.knapsack.residual import Residual
from aptsched.knapsack.slack_memory import without_memory
from aptsched.support.checks import Ints


def walk(residual: Residual) -> tuple[Ints, Price]:
    """An optimal basic solution of the LP relaxation, rounded down, and its multipliers.

    Returns
    -------
    option : int array, [n]
        At most D requests are fractional; they have the lightest of the options mixed. Feasible.
    price : tuple of float
        Multipliers of blocks (per unit), tokens and sequences, in seconds.
    """
    found = without_memory(residual)
    if found is not None:
        return found
    options = Options.of(residual, np.flatnonzero(np.isfinite(residual.limits)))
    option, multipliers, _ = minimum(options)
    return option, priced(options, multipliers)
