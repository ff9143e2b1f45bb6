"""Compiled loops made ready before a decision waits for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import FunctionType

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from aptsched.support.compiled import is_fast

OURS = ("aptsched", "solvers")


def warm_up(select: Callable[[BatchProblem], Selection]) -> None:
    """Has the loops of a method that are compiled loaded from disk, or compiled where that was never done.

    A method of the user's own, which may be any callable, is not called.
    """
    if is_fast() and isinstance(select, FunctionType) and select.__module__.partition(".")[0] in OURS:
        for problem in examples():
            select(problem)


def examples() -> list[BatchProblem]:
    """Problems whose answers need all loops: with memory alone, and with limits of all kinds."""
    values = [[9.0, 5.0], [8.0, 5.5], [7.0, 3.0], [6.5, 4.0], [3.0, 2.0], [2.0, 1.9]]
    blocks, tokens = [[7, 4], [6, 3], [5, 3], [5, 3], [2, 1], [2, 1]], [3, 5, 2, 4, 2, 1]
    limited = BatchProblem(values, blocks, 13, tokens, max_tokens=9, max_seqs=3)
    return [
        BatchProblem(values, blocks, 13),
        limited,
        replace(limited, required=np.array([False, False, True, False, False, False])),
        BatchProblem([[1.0], [99.0], [2.0]], [[1], [100], [0]], 100),
    ]
