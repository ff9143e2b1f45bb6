"""The exact optimum as a policy asks for it."""

from __future__ import annotations

from aptsched import BatchProblem, Selection
from solvers.core import solve


def core(problem: BatchProblem) -> Selection:
    """The selection of the exact method; the required requests fit."""
    selection = solve(problem).selection
    assert selection is not None
    return selection
