"""Algorithm 1 as it is timed: in plain Python and in numpy it is the one that `aptsched` has as printed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.knapsack.algorithm1 import algorithm1
from aptsched.workload import generate, snapshots

plain = pytest.importorskip("benchmarks.plain", reason="the benchmarks are in a checkout")
vectorised = pytest.importorskip("benchmarks.vectorised")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 40)), min_size=1, max_size=12), st.data())
def test_three_ways_are_one_algorithm(requests: list[tuple[int, int]], data: st.DataObject) -> None:
    """On any instance whose gains differ: same selection in plain Python and in numpy, and as printed."""
    capacity = data.draw(st.integers(0, 2 * sum(blocks for _, blocks in requests)))
    penalty = data.draw(st.integers(0, 1000)) + 1 / 3
    pending = np.array([value for value, _ in requests]) / 1024 + penalty * 0.7  # no gain is that of an upgrade
    blocks = np.array([blocks for _, blocks in requests])
    form = vectorised.algorithm1(pending, blocks, capacity, penalty)
    assert form.tolist() == plain.algorithm1(pending.tolist(), blocks.tolist(), capacity, penalty)
    problem = BatchProblem.hybrid(pending, blocks, capacity, penalty)
    assert form.tolist() == algorithm1(problem).form.tolist()


def test_on_queues_they_are_one_algorithm_too() -> None:
    """Snapshots such as the benchmark has."""
    trace = generate("sharegpt", 2000, np.random.default_rng(0))
    for problem in snapshots(trace, 5, 300, 0.25, np.random.default_rng(1)):
        pending, blocks = problem.values[:, 0], problem.weights[:, 0]
        penalty = float(pending[0] - problem.values[0, 1]) / int(blocks[0])
        form = vectorised.algorithm1(pending, blocks, problem.capacity, penalty)
        assert form.tolist() == plain.algorithm1(pending.tolist(), blocks.tolist(), problem.capacity, penalty)
        assert 0 < np.count_nonzero(form) < 300
