"""A solver of one's own: the most valuable for their blocks first, all with a KV cache.

aptsched gap --workload sharegpt --methods greedy core examples/own_solver.py:solve
"""

import numpy as np

from aptsched import BatchProblem, Multipliers, Selection, certify


def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Selection:
    """The selection, certified by what a block of the first request that no longer fits is worth."""
    density_s = problem.values[:, 0] / problem.weights[:, 0]
    order = np.argsort(-density_s)
    num_taken = int(np.searchsorted(np.cumsum(problem.weights[order, 0]), problem.capacity, side="right"))
    form = np.zeros(problem.num_requests, np.int64)
    form[order[:num_taken]] = 1
    price_s = float(density_s[order[num_taken]]) if num_taken < len(order) else 0.0
    return certify(problem, form, Multipliers(per_block_s=price_s))
