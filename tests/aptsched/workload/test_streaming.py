"""No more of a trace is read than is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.support.errors import InputError
from aptsched.workload import read_trace
from traces import arrivals

OURS = "arrived_at_s,prompt_tokens,output_tokens\n"
BAD = "not,a,row\n"
CONTENTS = {
    "ours": OURS + "0,1,1\n1,2,1\n",
    "foreign": "timestamp_ms,prompt_tokens,output_tokens\n0,1,1\n1000,2,1\n",
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00,1,1\n2024-05-10 00:00:01,2,1\n",
    "burstgpt": "Timestamp,Request tokens,Response tokens\n5,1,1\n5,0,0\n6,2,1\n",
    "jsonl": "".join(f'{{"timestamp_s": {i}, "input_length": {i + 1}, "output_length": 1}}\n' for i in range(2)),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_trace_with_arrivals_is_read_no_further_than_needed(tmp_path: Path, content: str) -> None:
    """A line after the last request that is needed is not looked at; a row that is left out is no request."""
    path = tmp_path / "trace"
    path.write_text(content + BAD * 100_000)
    trace = read_trace(path, 2)
    assert arrivals(trace).tolist() == [0.0, 1.0] and trace.prompt_tokens.tolist() == [1, 2]
    with pytest.raises(InputError, match="not"):
        read_trace(path, 3)


def test_lengths_alone_are_read_whole(tmp_path: Path) -> None:
    """For any of them may be drawn."""
    path = tmp_path / "trace"
    path.write_text("prompt_tokens,output_tokens\n1,1\n2,1\n3,1\n")
    assert read_trace(path, 1).prompt_tokens.tolist() == [1, 2, 3]
    path.write_text("prompt_tokens,output_tokens\n1,1\n2,1\nx,1\n")
    with pytest.raises(InputError, match="line 4"):
        read_trace(path, 1)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(1, 15))
def test_the_first_rows_of_the_file_are_taken_and_sorted(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], most: int
) -> None:
    """In any order of time, of which it is said where it does not rise."""
    path = tmp_path_factory.mktemp("order") / "trace"
    path.write_text(OURS + "".join(f"{time},{i + 1},1\n" for i, time in enumerate(times)))
    trace = read_trace(path, most)
    first = times[:most]
    order = sorted(range(len(first)), key=first.__getitem__)
    assert arrivals(trace).tolist() == [first[i] - min(first) for i in order]
    assert trace.prompt_tokens.tolist() == [i + 1 for i in order]
    assert bool(trace.notices) == (first != sorted(first))
