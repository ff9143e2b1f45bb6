"""Rows of a trace with objectives, tenants and priorities of their own, in every format; and two public formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aptsched import InputError
from aptsched.workload import Trace, read_trace
from aptsched.workload.own_columns import OwnColumns

HEADERS = {
    "ours": "arrived_at_s,prompt_tokens,output_tokens",
    "Azure": "TIMESTAMP,ContextTokens,GeneratedTokens",
    "BurstGPT": "Timestamp,Request tokens,Response tokens",
    "ServeGen": "timestamp,input_tokens,output_tokens",
}
BAILIAN = {
    **{"chat_id": 159, "parent_chat_id": -1, "timestamp": 61.5, "input_length": 40, "output_length": 7},
    **{"type": "text", "turn": 1, "hash_ids": [1, 2, 3]},
}


def read(directory: Path, text: str) -> Trace:
    (directory / "trace").write_text(text)
    return read_trace(directory / "trace")


@pytest.mark.parametrize("name", HEADERS)
def test_rows_of_csv_say_of_themselves(name: str, tmp_path: Path) -> None:
    """Rows are sorted by arrival with all that they say; an empty cell is none of its own."""
    times = ("2024-05-10 00:00:03", "2024-05-10 00:00:01") if name == "Azure" else ("3", "1")
    rows = [f"{times[0]},5,2,0.25,,chat,", f"{times[1]},6,3,,0.5,,-4"]
    trace = read(tmp_path, "\n".join([f"{HEADERS[name]},slo_ttft_s,slo_tpot_s,tenant,priority", *rows]))
    own = trace.own
    assert trace.prompt_tokens.tolist() == [6, 5] and not any("not known" in line for line in trace.notices)
    np.testing.assert_equal([own.slo_ttft_s, own.slo_tpot_s], [[np.nan, 0.25], [0.5, np.nan]])
    assert own.priority is not None and own.priority.tolist() == [-4, 0]
    assert own.tenant is not None and [own.tenants[i] for i in own.tenant] == ["-", "chat"]
    assert own.num_own_slo == 2


def test_rows_of_json_lines_say_of_themselves(tmp_path: Path) -> None:
    """From the first object on that has a field; null is none."""
    lengths = {"input_length": 5, "output_length": 2}
    objects = [
        {"timestamp": 0, **lengths},
        {"timestamp": 1000, **lengths, "tenant": "a", "slo_ttft_s": 0.5, "priority": 3},
        {"timestamp": 2000, **lengths, "tenant": 7, "slo_ttft_s": None},
    ]
    own = read(tmp_path, "\n".join(map(json.dumps, objects))).own
    assert own.tenants == ("-", "a", "7") and own.tenant is not None and own.tenant.tolist() == [0, 1, 2]
    np.testing.assert_equal(own.slo_ttft_s, [np.nan, 0.5, np.nan])
    assert own.priority is not None and own.priority.tolist() == [0, 3, 0] and own.slo_tpot_s is None


def test_a_trace_that_says_nothing_has_no_columns(tmp_path: Path) -> None:
    """Not even where the header has them."""
    own = read(tmp_path, f"{HEADERS['ours']},tenant,priority\n0,5,2,,\n").own
    columns = (own.tenant, own.priority, own.slo_ttft_s, own.slo_tpot_s)
    assert columns == (None,) * 4 and own.tenants == ()


@pytest.mark.parametrize(
    ("column", "value", "accepted"),
    [
        ("slo_ttft_s", "0", "a number of seconds above 0"),
        ("slo_tpot_s", "inf", "a number of seconds above 0"),
        ("slo_tpot_s", "fast", "a number of seconds above 0"),
        ("priority", "1.5", "a whole number from -2"),
        ("priority", "1e99", "a whole number from -2"),
        ("tenant", "x" * 81, "a name of up to 80 characters"),
    ],
)
def test_a_bad_value_is_refused_by_its_row(column: str, value: str, accepted: str, tmp_path: Path) -> None:
    """File, line, column, value and what is accepted."""
    with pytest.raises(InputError, match=f"trace, line 3, column {column}: .* is not accepted; {accepted}"):
        read(tmp_path, f"{HEADERS['ours']},{column}\n0,5,2,\n1,5,2,{value}\n")


def test_columns_of_another_length_are_refused() -> None:
    """One value for each request."""
    with pytest.raises(InputError, match=r"priority: shape \[2\] does not match; \[1\] is needed"):
        Trace([0.0], [5], [2], own=OwnColumns(priority=np.array([1, 2])))


def test_bailian_counts_seconds_and_its_type_is_the_tenant(tmp_path: Path) -> None:
    """Whatever the hash ids say; fields of the format are known, others are said."""
    second = {**BAILIAN, "chat_id": 160, "parent_chat_id": 159, "timestamp": 63, "type": "search", "hash_ids": [1]}
    trace = read(tmp_path, "\n".join(map(json.dumps, [BAILIAN, {**second, "model": "m"}])))
    assert trace.arrived_at_s is not None and trace.arrived_at_s.tolist() == [0.0, 1.5]
    assert trace.own.tenants == ("text", "search") and trace.prompt_tokens.tolist() == [40, 40]
    assert trace.notices == ("Fields of the trace that are not known, and not used: model.",)


def test_what_servegen_saves_is_read(tmp_path: Path) -> None:
    """Seconds, tokens in and out; the number of a request says nothing more, other columns are said."""
    trace = read(tmp_path, "request_id,timestamp,input_tokens,output_tokens\n0,0.5,10,20\n1,1.25,15,25\n")
    assert trace.arrived_at_s is not None and trace.arrived_at_s.tolist() == [0.0, 0.75]
    assert trace.output_tokens.tolist() == [20, 25] and trace.notices == ()
    more = read(tmp_path, "request_id,timestamp,input_tokens,output_tokens,image_tokens\n0,0.5,10,20,[]\n")
    assert more.notices == ("Columns of the trace that are not known, and not used: image_tokens.",)
