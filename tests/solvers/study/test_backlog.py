"""Where the study's instances come from."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.problem.instance import digest
from solvers.study.backlog import SnapshotSource, cut

SHAREGPT = SnapshotSource(workload="sharegpt", seed=3)


def test_an_instance_depends_on_source_size_and_number_alone() -> None:
    """Whatever else is asked for; another seed is another queue."""
    many = {i.id: digest(i.problem) for i in cut(SHAREGPT, [20, 40], [0.1, 0.5], 3).instances}
    few = {i.id: digest(i.problem) for i in cut(SHAREGPT, [40], [0.5], 2).instances}
    other = {i.id: digest(i.problem) for i in cut(SnapshotSource(workload="sharegpt"), [40], [0.5], 2).instances}
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
    slow, fast = (
        cut(SnapshotSource(trace=str(lengths), rate_per_s=rate), [2], [0.5], 1).instances[0] for rate in (0.01, 100)
    )
    assert slow.problem.values[0, 0] > 100 * fast.problem.values[0, 0]
    with pytest.raises(InputError, match="rate_per_s: the trace has arrivals"):
        cut(SnapshotSource(trace=str(timed), rate_per_s=2.0), [2], [0.5], 1)


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
        SnapshotSource(**given)  # type: ignore[arg-type]


def trace_of(tmp_path: Path, num_rows: int, gap_s: float | None = 1.0) -> SnapshotSource:
    """A file with an arrival each `gap_s`, or lengths alone."""
    path = tmp_path / f"trace{num_rows}.csv"
    arrivals = ["" if gap_s is None else f"{gap_s * i}," for i in range(num_rows)]
    header = ("" if gap_s is None else "arrived_at_s,") + "prompt_tokens,output_tokens\n"
    path.write_text(header + "".join(f"{arrival}{i + 1},5\n" for i, arrival in enumerate(arrivals)))
    return SnapshotSource(trace=str(path))


def test_queues_longer_than_the_trace_are_said(tmp_path: Path) -> None:
    """One line for all sizes; those that fit are not in it."""
    notices = cut(trace_of(tmp_path, 5), [3, 6, 9], [0.5], 1).notices
    assert "Queues of 6, 9 requests have rows of the trace several times: there are 5." in notices


def test_lengths_alone_are_said_to_have_drawn_arrivals(tmp_path: Path) -> None:
    """With the rate and the coefficient of variation."""
    source = replace(trace_of(tmp_path, 5, None), rate_per_s=7.0, cv=2.0)
    (notice,) = cut(source, [3], [0.5], 1).notices
    assert "lengths alone" in notice and "7 a second" in notice and "variation 2)" in notice


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 6), st.booleans(), st.integers(0, 3))
def test_rows_that_several_queues_have_are_counted(
    tmp_path_factory: pytest.TempPathFactory, num_rows: int, n: int, num_queues: int, is_timed: bool, seed: int
) -> None:
    """Against a count by hand of the prompts, which are all different; the same at every load."""
    source = trace_of(tmp_path_factory.mktemp("shared"), num_rows, 1.0 if is_timed else None)
    found = cut(replace(source, seed=seed, options={"block_size": 1}), [n], [0.5, 0.75], num_queues)
    queues = [set(instance.problem.weights[:, 0].tolist()) for instance in found.instances[:num_queues]]
    counts = Counter(row for each in queues for row in each)
    several = sum(count > 1 for count in counts.values())
    said = [notice for notice in found.notices if "share rows" in notice]
    line = (
        f"Queues share rows of the trace, so that they are not independent: {several} of {len(counts)} rows at n = {n}."
    )
    assert said == [line] * (several > 0)
    assert any("several times" in notice for notice in found.notices) == (n > num_rows)


def test_the_end_of_a_trace_is_said_where_a_queue_meets_it(tmp_path: Path) -> None:
    """A queue of all rows does; one that ends before waits until the next arrival."""
    assert any(
        "a mean gap after its last arrival" in each for each in cut(trace_of(tmp_path, 4), [4], [0.5], 1).notices
    )
    early = replace(trace_of(tmp_path, 1000), seed=1)
    assert cut(early, [2], [0.5], 1).notices == ()
    assert any("at the same time" in each for each in cut(trace_of(tmp_path, 3, 0.0), [2], [0.5], 1).notices)


def test_more_requests_than_can_be_held_are_refused() -> None:
    """Of all instances together, before one is cut."""
    with pytest.raises(InputError, match="num_requests, load, instances: 100000000000 requests are too many"):
        cut(SHAREGPT, [1_000_000], [0.5], 100_000)
    with pytest.raises(InputError, match="instances: 1000"):
        cut(SHAREGPT, [10], [0.5], 10**20)
