"""Trace files in every format that is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.workload import Trace, read_trace
from traces import arrivals

Read = Callable[..., Trace]  # of a file's content and name
TRACES = Path(__file__).resolve().parents[4] / "shared" / "traces"

OURS = "arrived_at_s,prompt_tokens,output_tokens\n5.5,10,1\n6.25,20,2\n"
AZURE_2023 = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
"""
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 00:00:00.017335+00:00,2399,6
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,GPT-4,1087,0,1087,API log
"""
BURSTGPT_SESSIONS = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
19440110.0,1722ac82,43,GPT-4,906,446,1352,Conversation log
19440161.0,,2,ChatGPT,36,29,65,API log
"""


def lines(*requests: dict[str, object]) -> str:
    return "".join(json.dumps(request) + "\n" for request in requests)


def request(timestamp: object, tokens: int, num_hashes: int | None) -> dict[str, object]:
    hashes = {} if num_hashes is None else {"hash_ids": list(range(num_hashes))}
    return {"timestamp": timestamp, "input_length": tokens, "output_length": 3, **hashes}


MOONCAKE = lines(request(27482, 6955, 14), request(30535, 6472, 13))
TIMED_TRACE = lines(request(0.5, 100, 7), request(2.25, 33, 3))


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def written(content: str | bytes, name: str = "trace.dat") -> Trace:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_trace(path)

    return written


@pytest.mark.parametrize(
    ("content", "arrived", "prompts", "outputs"),
    [
        (OURS, [0.0, 0.75], [10, 20], [1, 2]),
        (AZURE_2023, [0.0, 0.052], [4808, 3180], [10, 8]),
        (AZURE_2024, [0.0, 0.007405], [2162, 2399], [5, 6]),
        (BURSTGPT, [0.0, 40.0], [472, 1087], [18, 0]),
        (BURSTGPT_SESSIONS, [0.0, 51.0], [906, 36], [446, 29]),
        (MOONCAKE, [0.0, 3.053], [6955, 6472], [3, 3]),
        (TIMED_TRACE, [0.0, 1.75], [100, 33], [3, 3]),
    ],
    ids=["ours", "azure-2023", "azure-2024", "burstgpt", "burstgpt-sessions", "mooncake", "timed_trace"],
)
@pytest.mark.parametrize("name", ["trace.csv", "trace.jsonl", "no_suffix"])
def test_the_format_is_recognised_from_the_content(
    read: Read, content: str, arrived: list[float], prompts: list[int], outputs: list[int], name: str
) -> None:
    """Each format is read, whatever the file is called, and the first arrival is at 0."""
    trace = read(content, name)
    assert arrivals(trace).tolist() == arrived
    assert trace.prompt_tokens.tolist() == prompts
    assert trace.output_tokens.tolist() == outputs


def test_lengths_alone(read: Read) -> None:
    """Our CSV may have lengths alone."""
    trace = read("output_tokens,prompt_tokens\n5,7\n")
    assert trace.arrived_at_s is None
    assert (trace.prompt_tokens[0], trace.output_tokens[0]) == (7, 5)


@pytest.mark.parametrize("content", [OURS, AZURE_2023, BURSTGPT, MOONCAKE, TIMED_TRACE])
def test_how_the_text_is_written_does_not_matter(read: Read, content: str) -> None:
    """A byte order mark, CRLF, blank lines and a missing last line end change nothing."""
    plain = read(content)
    for variant in (
        b"\xef\xbb\xbf" + content.encode(),
        content.replace("\n", "\r\n").encode(),
        (content + "\n   \n\n").encode(),
        ("\n" + content).encode(),
        content.rstrip("\n").encode(),
    ):
        other = read(variant)
        assert np.array_equal(arrivals(other), arrivals(plain))
        assert np.array_equal(other.prompt_tokens, plain.prompt_tokens)


def test_quoted_cells_extra_columns_and_whole_floats(read: Read) -> None:
    """Cells may be quoted, other columns are ignored, names are not case-sensitive, and 12.0 is a whole number."""
    trace = read('note,"Prompt_Tokens", output_tokens,x\n"a, b","12.0", 3,\n')
    assert (trace.prompt_tokens[0], trace.output_tokens[0]) == (12, 3)


def test_rows_are_sorted_by_arrival_and_ties_keep_their_order(read: Read) -> None:
    """Rows may come in any order of time."""
    trace = read("arrived_at_s,prompt_tokens,output_tokens\n3,1,1\n2,2,1\n3,3,1\n2,4,1\n")
    assert arrivals(trace).tolist() == [0, 0, 1, 1]
    assert trace.prompt_tokens.tolist() == [2, 4, 1, 3]


def test_failed_burstgpt_rows_without_prompt_tokens_are_counted(read: Read) -> None:
    """BurstGPT's failures with 0 request tokens are left out and counted; those with a prompt are kept."""
    trace = read(BURSTGPT + "50,ChatGPT,0,0,0,API log\n")
    assert trace.prompt_tokens.tolist() == [472, 1087]
    assert trace.num_dropped == 1


def test_azure_times_keep_their_seven_digits_and_their_zones(read: Read) -> None:
    """100 ns are kept apart, and a zone shifts the time; without one it is UTC."""
    header = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    close = read(header + "2023-11-16 18:17:03.9799600,1,1\n2023-11-16 18:17:03.9799601,2,1\n")
    assert arrivals(close).tolist() == [0.0, 1e-7]
    zoned = read(header + "2024-05-10 02:00:00+02:00,1,1\n2024-05-10T00:00:01Z,2,1\n2024-05-10 00:00:02,3,1\n")
    assert arrivals(zoned).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("requests", "second"),
    [
        ([request(0, 6758, 14), request(3000, 100, 1)], 3.0),
        ([request(0, 6758, 14), request(3000.0, 100, 1)], 3.0),
        ([request(0, 6758, None), request(3000, 100, None)], 3.0),
        ([request(0, 6758, 423), request(3000, 100, 7)], 3000.0),
        ([request(0.0, 6758, 14), request(3000.25, 7319, 15)], 3.00025),
        ([request(0, 6758, 423), request(3.5, 100, 7)], 3.5),
        ([request(0, 6758, 14), request(3000, 300, 19), request(6000, 600, 2)], 3.0),
        ([request(0, 6758, 106), request(3000.5, 300, 5), request(6000, 16, 1)], 3000.5),
        ([request(0.0, 6758, None), request(3.0, 100, None)], 3.0),
        ([request(0, 5, 1), request(3000, 16, 1)], 3.0),
    ],
    ids=[
        *("512", "512-floats", "no-hashes", "16", "mooncake-fractional-ms", "16-fraction", "more-of-512", "neither"),
        *("floats", "undecided"),
    ],
)
def test_milliseconds_or_seconds(read: Read, requests: list[dict[str, object]], second: float) -> None:
    """Mooncake's milliseconds, which may have fractions, and timed_trace's seconds, by tokens a hash id before all."""
    assert arrivals(read(lines(*requests)))[1] == second


@given(
    st.lists(st.tuples(st.integers(17, 10**5), st.floats(0, 1e7)), min_size=1, max_size=20), st.sampled_from([16, 512])
)
def test_hash_ids_decide_the_unit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float]], size: int
) -> None:
    """Whatever the timestamps look like; then nothing is assumed."""
    rows = sorted(rows, key=lambda row: row[1])
    content = lines(*(request(time, tokens, -(-tokens // size)) for tokens, time in rows))
    path = tmp_path_factory.mktemp("unit") / "trace.jsonl"
    path.write_text(content)
    trace = read_trace(path)
    units_per_s = 1 if size == 16 else 1000
    assert arrivals(trace).tolist() == [(time - rows[0][1]) / units_per_s for _, time in rows]
    assert trace.notices == ()


@pytest.mark.parametrize(("second", "unit"), [(3000, "milliseconds"), (3000.0, "seconds"), (3.25, "seconds")])
def test_a_unit_that_nothing_tells_is_said_to_be_assumed(read: Read, second: float, unit: str) -> None:
    """By how the numbers are written; a name with its unit leaves nothing to assume."""
    trace = read(lines(request(0, 100, None), request(second, 100, None)))
    (notice,) = trace.notices
    assert f"{unit} are assumed" in notice and "timestamp_ms" in notice
    assert arrivals(trace)[1] == (second / 1000 if unit == "milliseconds" else second)


@given(
    st.lists(
        st.tuples(st.floats(0, 1e9, allow_subnormal=False), st.integers(1, 2**32), st.integers(0, 2**32)),
        min_size=1,
    )
)
def test_our_csv_round_trips(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, int, int]]) -> None:
    """What is written as our CSV is read back to the last bit, the first arrival taken off."""
    path = tmp_path_factory.mktemp("round") / "trace.csv"
    written = "".join(f"{arrived!r},{prompt},{output}\n" for arrived, prompt, output in rows)
    path.write_text("arrived_at_s,prompt_tokens,output_tokens\n" + written)
    trace = read_trace(path)
    rows = sorted(rows, key=lambda row: row[0])
    assert arrivals(trace).tolist() == [row[0] - rows[0][0] for row in rows]
    assert trace.prompt_tokens.tolist() == [row[1] for row in rows]
    assert trace.output_tokens.tolist() == [row[2] for row in rows]


@pytest.mark.parametrize(
    ("name", "num_requests", "prompt_mean", "output_mean"),
    [
        ("azure_code_2023.csv", 8819, 2048, 28),
        ("sharegpt_first_turn_le2048.csv", 5451, 163, 471),
        ("humaneval_opt_tokens.csv", 164, 171, 98),
        ("longbench_multinews_opt_tokens_le2048.csv", 79, 1217, 248),
    ],
)
def test_real_traces(name: str, num_requests: int, prompt_mean: int, output_mean: int) -> None:
    """Real traces are read whole, with the statistics published beside them."""
    if not (TRACES / name).is_file():
        pytest.skip(f"the evaluation trace {name} is not beside the repository")
    trace = read_trace(TRACES / name)
    assert len(trace) == num_requests
    assert round(trace.prompt_tokens.mean()) == prompt_mean
    assert round(trace.output_tokens.mean()) == output_mean
    if trace.arrived_at_s is not None:
        gaps = np.diff(arrivals(trace))
        assert trace.arrived_at_s[0] == 0
        assert 1 / gaps.mean() == pytest.approx(2.57, abs=0.01)
        assert gaps.std() / gaps.mean() == pytest.approx(13.2, abs=0.1)
