"""Columns of other names than ours: a time is understood where its unit is certain, and never drawn in its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.support.errors import InputError
from aptsched.workload import Trace, read_trace
from aptsched.workload.own_columns import OWN
from aptsched.workload.time_names import Kind, kind, units_per_s
from traces import arrivals

Written = Callable[..., str]  # a column and its times to the content of a file

STEMS = ["timestamp", "arrived_at", "arrival_time", "arrival", "time", "ts", "created_at", "submitted_at", "start_time"]
UNITS = {"s": 1, "sec": 1, "seconds": 1, "ms": 10**3, "millis": 10**3, "us": 10**6, "ns": 10**9}
NOT_ARRIVALS = ["end_time", "finished_at", "inter_arrival_s", "request_time_ms", "timestampms", "step_time_s", "gap_s"]
NO_TIMES = ["tenant", "priority", "model", "slo_ttft_s", "ttft_ms", "elapsed_time", "queue_time_s", "arrival_rate", ""]


def cased(name: str) -> st.SearchStrategy[str]:
    """The name as several people write it."""
    words = name.split("_")
    camel = words[0] + "".join(word.capitalize() for word in words[1:])
    return st.sampled_from([name, name.upper(), name.title(), name.replace("_", " "), camel, f"{name} "])


unitless = st.sampled_from(STEMS).flatmap(cased)


def is_ours(name: str) -> bool:
    return name.strip().lower() == "arrived_at_s"


foreign = st.tuples(st.sampled_from(STEMS), st.sampled_from(list(UNITS))).flatmap(
    lambda both: st.tuples(
        cased(f"{both[0]}_{both[1]}").filter(lambda name: not is_ours(name)), st.just(UNITS[both[1]])
    )
)
others = st.one_of(foreign.map(lambda both: both[0]), unitless)


def csv_of(column: str, *times: object) -> str:
    rows = "".join(f"{time},{i + 10},5\n" for i, time in enumerate(times))
    return f'"{column}",prompt_tokens,output_tokens\n{rows}'


def jsonl_of(field: str, *times: object) -> str:
    rows = ({field: time, "input_length": i + 10, "output_length": 5} for i, time in enumerate(times))
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(tmp_path: Path, content: str) -> Trace:
    path = tmp_path / "trace"
    path.write_text(content, encoding="utf-8")
    return read_trace(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("times")


@pytest.mark.parametrize("written", [csv_of, jsonl_of])
@given(foreign, st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_a_unit_in_the_name_is_certain(
    folder: Path, written: Written, column: tuple[str, int], gaps: list[int]
) -> None:
    """Arrivals are exact, also of nanoseconds since 1970, and it is said which column they are from."""
    name, units = column
    times = [1_700_000_000 * units + sum(gaps[: i + 1]) for i in range(len(gaps))]
    trace = read(folder, written(name, *times))
    assert arrivals(trace).tolist() == [(time - times[0]) / units for time in times]
    assert len(trace.notices) == 1 and name.strip() in trace.notices[0]


@pytest.mark.parametrize("written", [csv_of, jsonl_of])
@given(unitless, st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_dates_and_times_are_certain(folder: Path, written: Written, name: str, gaps: list[int]) -> None:
    """Under any name that looks like the arrival."""
    since = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    days = [(datetime(2024, 5, 10, tzinfo=UTC) + timedelta(seconds=s)).isoformat(sep=" ") for s in since]
    trace = read(folder, written(name, *days))
    assert arrivals(trace).tolist() == [s - since[0] for s in since]
    assert any("dates and times" in notice for notice in trace.notices)


@given(unitless, st.lists(st.floats(0, 1e6), min_size=1, max_size=3))
def test_numbers_without_a_unit_are_refused(folder: Path, name: str, times: list[float]) -> None:
    """Of the kind csv-foreign-time-column: in one message, which names the column."""
    with pytest.raises(InputError, match="timestamp_ms") as caught:
        read(folder, csv_of(name, *times))
    assert f"column {name.strip()}" in str(caught.value) and "\n" not in str(caught.value)


@given(unitless.filter(lambda name: name.strip() != "timestamp"), st.floats(0, 1e6))
def test_numbers_without_a_unit_are_refused_in_json_lines(folder: Path, name: str, time: float) -> None:
    """But for `timestamp`, which Mooncake and vLLM write."""
    with pytest.raises(InputError, match="timestamp_ms"):
        read(folder, jsonl_of(name, time))


@pytest.mark.parametrize("column", NOT_ARRIVALS)
@pytest.mark.parametrize("written", [csv_of, jsonl_of])
def test_a_time_that_may_not_be_the_arrival_is_refused(tmp_path: Path, written: Written, column: str) -> None:
    """Where there is no other: drawn arrivals would take its place."""
    with pytest.raises(InputError, match=f"column {column}: looks like a time"):
        read(tmp_path, written(column, 0, 100))


@given(st.lists(others, min_size=2, max_size=3))
def test_several_times_are_refused(folder: Path, names: list[str]) -> None:
    """Whichever they are, also the same twice."""
    quoted = ",".join(f'"{name}"' for name in names)
    with pytest.raises(InputError, match="several times of arrival"):
        read(folder, f"{quoted},prompt_tokens,output_tokens\n{'1,' * len(names)}10,5\n")
    if len({*names, "timestamp"}) > 2:
        row = {"timestamp": 0, **dict.fromkeys(names, 1), "input_length": 10, "output_length": 5}
        with pytest.raises(InputError, match="several times of arrival"):
            read(folder, json.dumps(row))


@given(st.lists(st.one_of(others, st.sampled_from(NOT_ARRIVALS)), min_size=1))
def test_our_own_column_is_certain_beside_any_other(folder: Path, names: list[str]) -> None:
    """The others are named."""
    names = list({name.strip().lower(): name for name in names}.values())[:6]
    quoted = ",".join(f'"{name}"' for name in names)
    trace = read(folder, f"{quoted},arrived_at_s,prompt_tokens,output_tokens\n{'x,' * len(names)}10,5,1\n")
    assert arrivals(trace).tolist() == [0.0]
    assert all(name.strip() in trace.notices[0] for name in names)


@pytest.mark.parametrize("column", [name for name in NO_TIMES if name not in OWN])
def test_columns_that_are_not_known_are_named(tmp_path: Path, column: str) -> None:
    """One line for all of them; lengths alone stay lengths alone."""
    trace = read(tmp_path, f'"{column}",tenant_id,prompt_tokens,output_tokens\n1,2,10,5\n')
    assert trace.arrived_at_s is None
    (notice,) = trace.notices
    assert notice == f"Columns of the trace that are not known, and not used: {column or repr('')}, tenant_id."
    trace = read(tmp_path, json.dumps({"timestamp_s": 0, column: 1, "input_length": 10, "output_length": 5}))
    assert trace.notices[1] == f"Fields of the trace that are not known, and not used: {column or repr('')}."


def test_names_that_are_many_long_or_strange_take_one_line(tmp_path: Path) -> None:
    """Control characters are escaped, a long one is cut, and of many the rest is counted."""
    names = ["a\nb", "\x1b[31mred", "x" * 500, *(f"column {i}" for i in range(20))]
    quoted = ",".join(f'"{name}"' for name in names)
    trace = read(tmp_path, f"{quoted},prompt_tokens,output_tokens\n{'1,' * len(names)}10,5\n")
    (notice,) = trace.notices
    assert notice.isprintable() and "and 15 more" in notice and len(notice) < 400


def test_columns_that_a_known_format_has_need_no_notice(tmp_path: Path) -> None:
    """BurstGPT's models and sessions, Mooncake's hash ids."""
    header = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"
    assert read(tmp_path, f"{header}\n1,a,43,GPT-4,9,4,13,API log\n").notices == ()
    mooncake = {"timestamp": 0, "input_length": 6758, "output_length": 1, "hash_ids": list(range(14))}
    assert read(tmp_path, json.dumps(mooncake)).notices == ()


@given(st.text(max_size=20))
def test_any_name_is_of_some_kind(name: str) -> None:
    """Without an error, the same in capitals, and with a unit only where there is one."""
    assert kind(name.lower()) is kind(name.lower().upper()) or not name.isascii()
    assert units_per_s(name) in (None, *UNITS.values())
    assert kind(f"{name} tokens") is Kind.OTHER
