"""WAIT's workloads, and what is said of their runs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.wait import WORKLOADS, rows


@pytest.mark.parametrize(("name", "rate_per_s"), [("two types", 1980.0), ("LMSYS", 66.0)])
def test_requests_come_as_published(name: str, rate_per_s: float) -> None:
    """As many a second, and each type as often as its rate says, within four standard deviations."""
    workload = WORKLOADS[name]
    trace = workload.trace(1.0, 0)
    n = workload.num_requests
    assert trace.arrived_at_s is not None and len(trace.arrived_at_s) == n
    assert abs(n / trace.arrived_at_s[-1] / rate_per_s - 1) < 4 / np.sqrt(n)
    for prompt, output, rate in workload.types:
        count = int(((trace.prompt_tokens == prompt) & (trace.output_tokens == output)).sum())
        assert abs(count - n * rate / rate_per_s) < 4 * np.sqrt(n * rate / rate_per_s)


def test_a_row_for_each_policy() -> None:
    """Throughput is within what 128 or 175 requests in service can have, and its ratio is to the published number."""
    found = rows("two types", share=0.02)
    assert [row["policy"] for row in found] == [
        *("fcfs", "sarathi", "fcfs", "sarathi", "wait:limit=115", "wait:limit=128", "wait:limit=175")
    ]
    for row in found:
        assert row["ratio"] == pytest.approx(row["tokens_a_second"] / row["published"], rel=1e-3)
        assert 0 < row["tokens_a_second"] < row["at_once"] / 0.008  # reading the weights alone takes 8 ms
