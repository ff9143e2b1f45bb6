"""The same problem in other orders and units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aptsched import BatchProblem


def permuted(problem: BatchProblem, order: npt.NDArray[np.int64]) -> BatchProblem:
    """The same requests in another order."""
    return replace(
        problem,
        values=problem.values[order],
        weights=problem.weights[order],
        num_tokens=None if problem.num_tokens is None else problem.num_tokens[order],
        required=None if problem.required is None else problem.required[order],
    )


def scaled_weights(problem: BatchProblem, factor: int) -> BatchProblem:
    """Blocks of another size."""
    return replace(problem, weights=problem.weights * factor, capacity=problem.capacity * factor)
