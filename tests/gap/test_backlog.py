"""Where the study's instances come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aptsched import InputError
from aptsched.instance import digest
from solvers.backlog import Source, cut

SHAREGPT = Source(workload="sharegpt", seed=3)


def test_an_instance_depends_on_source_size_and_number_alone() -> None:
    """Whatever else is asked for; another seed is another queue."""
    many = {i.id: digest(i.problem) for i in cut(SHAREGPT, [20, 40], [0.1, 0.5], 3).instances}
    few = {i.id: digest(i.problem) for i in cut(SHAREGPT, [40], [0.5], 2).instances}
    other = {i.id: digest(i.problem) for i in cut(Source(workload="sharegpt"), [40], [0.5], 2).instances}
    assert len(many) == len(set(many.values())) == 12
    assert few.items() <= many.items()
    assert few.keys() == other.keys() and not set(few.values()) & set(other.values())


def test_the_queues_are_the_same_at_every_load() -> None:
    """Only the capacity differs."""
    low, high = cut(SHAREGPT, [30], [0.1, 0.5], 1).instances
    np.testing.assert_array_equal(low.problem.values, high.problem.values)
    np.testing.assert_array_equal(low.problem.weights, high.problem.weights)
    assert low.problem.capacity < high.problem.capacity


def test_arrivals_are_for_traces_that_have_none(tmp_path: Path) -> None:
    """For lengths alone a rate is taken; beside the trace's own it is refused."""
    lengths, timed = tmp_path / "lengths.csv", tmp_path / "timed.csv"
    lengths.write_text("prompt_tokens,output_tokens\n10,5\n30,5\n")
    timed.write_text("arrived_at_s,prompt_tokens,output_tokens\n0,10,5\n1,30,5\n")
    slow, fast = (cut(Source(trace=str(lengths), rate_per_s=rate), [2], [0.5], 1).instances[0] for rate in (0.01, 100))
    assert slow.problem.values[0, 0] > 100 * fast.problem.values[0, 0]
    with pytest.raises(InputError, match="rate_per_s: the trace has arrivals"):
        cut(Source(trace=str(timed), rate_per_s=2.0), [2], [0.5], 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "trace, workload: neither is given"),
        ({"trace": "a.csv", "workload": "sharegpt"}, "trace, workload: both are given"),
        ({"workload": "sharegpt", "seed": -1}, "seed: -1"),
    ],
)
def test_a_bad_source_is_refused(given: dict[str, object], message: str) -> None:
    """One of trace and workload, and a seed of at least 0."""
    with pytest.raises(InputError, match=message):
        Source(**given)  # type: ignore[arg-type]
