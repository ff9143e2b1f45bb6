"""The general solvers by name, and the instances that they are tested on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from aptsched import BatchProblem
from solvers import cpsat, lp, mathopt, milp, pulp
from solvers.solution import Solution

Solve = Callable[[BatchProblem, float | None], Solution]


def mathopt_scip(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
    return mathopt.solve(problem, time_limit_s, backend="scip")


def pulp_highs(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
    return pulp.solve(problem, time_limit_s, backend="highs")


EXACT: dict[str, Solve] = {
    "cpsat": cpsat.solve,
    "mathopt-highs": mathopt.solve,
    "mathopt-scip": mathopt_scip,
    "pulp-cbc": pulp.solve,
    "pulp-highs": pulp_highs,
    "milp": milp.solve,
}
ALL: dict[str, Solve] = {**EXACT, "lp": lp.solve}
each_exact = pytest.mark.parametrize("solve", EXACT.values(), ids=EXACT)
each = pytest.mark.parametrize("solve", ALL.values(), ids=ALL)

# KV: 8 s for 4 blocks, 6 s for 3, 5 s for 4, 3 s for 2. Hidden, at 1/4 s a block: 7 s for 2, 5.25 s for 2, 4 s for 2,
# 2.5 s for 1. All four are worth serving hidden, which takes 7 blocks.
BY_HAND = BatchProblem.hybrid([8.0, 6.0, 5.0, 3.0], [4, 3, 4, 2], capacity=7, penalty_s_per_block=0.25)


def serving_like(n: int, seed: int, share: float = 0.25, penalty_s_per_block: float = 0.4) -> BatchProblem:
    """Pending times of up to a minute, lognormal lengths of 12 blocks in the mean."""
    rng = np.random.default_rng(seed)
    pending_s = rng.uniform(0, 60, n)
    blocks = np.maximum(1, np.rint(rng.lognormal(np.log(12) - 0.32, 0.8, n))).astype(int)
    return BatchProblem.hybrid(pending_s, blocks, int(blocks.sum() * share), penalty_s_per_block)


def with_side_constraints(problem: BatchProblem, seed: int) -> BatchProblem:
    """A token budget and a sequence limit, both of which bind."""
    n = problem.num_requests
    num_tokens = np.random.default_rng(seed).integers(16, 600, n)
    return dataclasses.replace(problem, num_tokens=num_tokens, max_tokens=int(num_tokens.sum()) // 4, max_seqs=n // 3)


def strongly_correlated(n: int, seed: int) -> BatchProblem:
    """Value = weight + constant: weak bounds, so no proof for long."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(1_000, 1_000_000, n)
    num_tokens = rng.integers(1_000, 1_000_000, n)
    return BatchProblem(
        values=(weights + num_tokens / 3 + rng.uniform(99_999, 100_001, n))[:, None],
        weights=weights[:, None],
        capacity=int(weights.sum()) // 2,
        num_tokens=num_tokens,
        max_tokens=int(num_tokens.sum()) // 2,
        max_seqs=n // 2 - 3,
    )
