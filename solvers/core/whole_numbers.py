"""What floats cannot tell apart, in whole numbers."""

from __future__ import annotations

import numpy as np

from aptsched.knapsack.residual import Residual
from aptsched.problem.batch_problem import BatchProblem

PER_SECOND = 2**1074  # every float is a whole multiple of a second by this


def exact_gains(problem: BatchProblem, residual: Residual) -> list[list[int]]:
    """What each option, [k, n], is worth more than its request's base, in 2**-1074 seconds; 0 where not offered."""
    order = np.arange(problem.num_requests) if residual.order is None else residual.order
    base = np.zeros_like(order) if residual.base is None else residual.base
    values = np.insert(problem.values[order].T, 0, 0.0, axis=0)
    held = [whole(value) for value in values[base, np.arange(len(order))].tolist()]
    rows = zip(values[1:].tolist(), (residual.gain > 0).tolist(), strict=True)
    return [[(whole(v) - h) * offered for v, offered, h in zip(*row, held, strict=True)] for row in rows]


def whole(value: float) -> int:
    """A float in units of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * (PER_SECOND // denominator)
