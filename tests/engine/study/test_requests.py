"""The requests of a simulation: which rows of a trace are served, and what is said of it."""

from __future__ import annotations

import io
import os
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.scheduling.record import SLO
from aptsched.support import files
from aptsched.support.errors import InputError
from engine.study.arrival_source import LENGTHS_ALONE, ArrivalSource, traces
from engine.study.replay import Replay
from engine.study.simulated_replays import simulated_replays

TIMED = "arrived_at_s,prompt_tokens,output_tokens\n"
LENGTHS = "prompt_tokens,output_tokens\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("requests")


def lengths_of(folder: Path, num_rows: int) -> str:
    """A file of lengths alone, whose prompts are 1, 2, ..."""
    path = folder / f"lengths{num_rows}.csv"
    path.write_text(LENGTHS + "".join(f"{i + 1},2\n" for i in range(num_rows)))
    return str(path)


def timed(folder: Path, num_rows: int, more: str = "") -> str:
    """A file with an arrival each second."""
    path = folder / f"timed{num_rows}.csv"
    path.write_text(TIMED + "".join(f"{i},{i + 1},2\n" for i in range(num_rows)) + more)
    return str(path)


def replays(trace: str, *rates_per_s: float, duration_s: float | None = None, **options: Any) -> list[Replay]:
    return simulated_replays(ArrivalSource(trace, **options), rates_per_s, SLO(), duration_s)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 5))
def test_rows_of_lengths_alone_are_drawn_by_the_seed(folder: Path, num_rows: int, num_requests: int, seed: int) -> None:
    """Each once where there are enough, else repeated; the same again for the same seed; and it is said."""
    trace = lengths_of(folder, num_rows)
    (one,), (again,) = (replays(trace, num_requests=num_requests, seed=seed) for _ in range(2))
    assert len(one) == num_requests and np.array_equal(one.num_prompt_tokens, again.num_prompt_tokens)
    rows = set(one.num_prompt_tokens.tolist())
    assert rows <= set(range(1, num_rows + 1))
    assert num_requests > num_rows or len(rows) == num_requests
    (notice,) = one.notices
    assert notice.startswith(LENGTHS_ALONE)
    assert (f"of {num_rows}" in notice) == (num_requests != num_rows)
    assert ("several times" in notice) == (num_requests > num_rows)


def test_another_seed_draws_other_rows(folder: Path) -> None:
    """And other arrivals; all rows are taken in their order."""
    trace = lengths_of(folder, 40)
    (one,), (other,), (whole,) = (
        replays(trace, **options) for options in ({"num_requests": 10}, {"num_requests": 10, "seed": 1}, {})
    )
    assert one.num_prompt_tokens.tolist() != other.num_prompt_tokens.tolist()
    assert one.arrived_at_s.tolist() != other.arrived_at_s.tolist()
    assert whole.num_prompt_tokens.tolist() == list(range(1, 41))


def test_a_file_of_lengths_lasts_any_duration(folder: Path) -> None:
    """Rows are repeated as long as requests arrive."""
    slow, fast = replays(lengths_of(folder, 3), 5.0, 10.0, duration_s=20.0)
    assert 60 < len(slow) < 140 < len(fast) < 260
    assert slow.notices == fast.notices and "of 3, some of them several times" in slow.notices[0]


@pytest.mark.parametrize("rows", [None, 30])
def test_the_requests_of_a_lower_rate_are_the_first_of_a_higher_one(folder: Path, rows: int | None) -> None:
    """For a duration, of a workload and of a file with lengths; and they do not depend on which rates are served."""
    given: dict[str, Any] = {"workload": "sharegpt"} if rows is None else {"trace": lengths_of(folder, rows)}
    slow, fast = simulated_replays(ArrivalSource(**given), [2.0, 8.0], SLO(), 60.0)
    (alone,) = simulated_replays(ArrivalSource(**given), [2.0], SLO(), 60.0)
    assert len(slow) == len(alone) < len(fast)
    for name in ("num_prompt_tokens", "num_output_tokens", "arrived_at_s"):
        assert getattr(slow, name).tolist() == getattr(alone, name).tolist()
    assert slow.num_prompt_tokens.tolist() == fast.num_prompt_tokens[: len(slow)].tolist()
    np.testing.assert_allclose(slow.arrived_at_s, 4 * fast.arrived_at_s[: len(slow)], atol=3e-6)


def test_the_first_requests_of_a_trace_with_arrivals_are_enough(folder: Path) -> None:
    """The rows after them are not read, whatever they are; without a number all are."""
    trace = timed(folder, 20, "not,a,row\n" * 1000)
    (first,) = replays(trace, num_requests=20)
    assert first.num_prompt_tokens.tolist() == list(range(1, 21)) and first.notices == ()
    with pytest.raises(InputError, match="line 22"):
        replays(trace)


def test_a_run_that_is_not_told_how_many_says_that_there_are_more(folder: Path) -> None:
    """The first 100; one more row is read to know."""
    trace = timed(folder, 101, "not,a,row\n" * 1000)
    ((_, found),) = traces(ArrivalSource(trace))
    assert len(found) == 100 and "more than 100 requests" in found.notices[0]
    ((_, whole),) = traces(ArrivalSource(timed(folder, 100)))
    assert len(whole) == 100 and whole.notices == ()


@pytest.mark.parametrize("content", [TIMED + "0,1,2\n1,2,2\n", LENGTHS + "1,2\n2,2\n"])
@pytest.mark.parametrize("duration_s", [None, 1.5])
def test_a_file_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, duration_s: float | None
) -> None:
    """However many requests it takes, and at every rate."""
    path = tmp_path / "trace.csv"
    path.write_text(content)
    num_read: list[str] = []
    original = files.reading

    def counted(path: str | os.PathLike[str]) -> AbstractContextManager[io.BufferedReader[Any]]:
        num_read.append(str(path))
        return original(path)

    monkeypatch.setattr(files, "reading", counted)
    replays(str(path), 100.0, 200.0, duration_s=duration_s)
    assert num_read == [str(path)]


@given(st.integers(2, 30), st.floats(0.5, 40))
def test_a_duration_beyond_the_end_of_a_trace_is_said(folder: Path, num_rows: int, duration_s: float) -> None:
    """With the requests and the seconds that there are."""
    (found,) = replays(timed(folder, num_rows), duration_s=duration_s)
    assert len(found) == min(num_rows, np.ceil(duration_s))
    end = num_rows - 1
    assert (found.notices == ()) == (duration_s <= end)
    for notice in found.notices:
        assert (
            f"{duration_s:g} s is beyond the end of the trace, of whose {num_rows} requests the last arrives at {end} s"
            in notice
        )


def test_each_rate_that_ends_early_is_in_the_one_notice(folder: Path) -> None:
    """The others are not."""
    found = replays(timed(folder, 11), 0.5, 2.0, 4.0, duration_s=8.0)
    assert [len(each) for each in found] == [4, 11, 11]
    (notice,) = {notice for each in found for notice in each.notices}
    assert notice.endswith("11 requests the last arrives at 5 s at 2 a second, 2.5 s at 4 a second.")


@pytest.mark.parametrize(
    ("rates", "duration_s", "options", "message"),
    [
        ([], 1e300, {}, "duration: 1e\\+300 is not accepted"),
        ([1e6], 11.0, {}, "duration: 11.0 is not accepted; up to 10000000 requests are"),
        ([float("nan")], 11.0, {}, "rate: nan is not finite"),
        ([], float("nan"), {}, "duration: nan is not accepted"),
        ([], None, {"num_requests": 10_000_001}, "num_requests: 10000001 is not accepted; .* from 1 to 10000000 is"),
        ([], None, {"num_requests": 10**20}, "num_requests: 1000"),
    ],
)
@pytest.mark.parametrize("is_file", [True, False])
def test_more_requests_than_can_be_held_are_refused(
    folder: Path, is_file: bool, rates: list[float], duration_s: float | None, options: dict[str, Any], message: str
) -> None:
    """Before they are made."""
    given: dict[str, Any] = {"trace": lengths_of(folder, 3)} if is_file else {"workload": "sharegpt"}
    with pytest.raises(InputError, match=message):
        simulated_replays(ArrivalSource(**given, **options), rates, SLO(), duration_s)


def test_clipped_lengths_and_the_cap_that_policies_see() -> None:
    """No prompt is over 50 tokens and no output over 30, as without; 30 more than its prompt is each one's cap."""
    whole = ArrivalSource(workload="humaneval", num_requests=40)
    clipped = replace(whole, max_prompt_tokens=50, max_output_tokens=30)
    (plain,), (found,) = (simulated_replays(source, [2.0], SLO()) for source in (whole, clipped))
    assert found.num_prompt_tokens.tolist() == np.minimum(plain.num_prompt_tokens, 50).tolist()
    assert found.num_output_tokens.tolist() == np.minimum(plain.num_output_tokens, 30).tolist()
    assert [each.cap_tokens for each in found.requests()] == (found.num_prompt_tokens + 30).tolist()
    assert any("clipped" in notice for notice in found.notices)
