"""ServeGen's and Bailian's files with one field damaged: refused by its name, or read as if it were not."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.support.errors import InputError
from aptsched.workload import Trace, read_trace

ROWS = [(0.25, 40, 7), (1.5, 12, 30), (2.0, 999, 1)]
SERVEGEN = ("timestamp", "input_tokens", "output_tokens")
BAILIAN = ("timestamp", "input_length", "output_length")
WITHOUT_USE = ("chat_id", "parent_chat_id", "turn", "hash_ids")
NO_NUMBER = ["", "x", "nan", "-inf", "1e400", "-1", "1_0", "0x1", "1 2", "\u0661", "9" * 5000]
NO_COUNT = ["1.5", str(2**33), "1e13"]
NO_VALUE: list[Any] = [None, True, [], {}, "1", "", [1], {"a": 1}, -1, 10**400]
NO_TENANT: list[Any] = [True, [], {}, "n" * 81, "a\nb", "\ud800"]


def read(text: str) -> Trace:
    """The trace of a file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_text(text, encoding="utf-8")
        return read_trace(path)


def refusal(text: str) -> str:
    """The message by which it is refused, a line."""
    with pytest.raises(InputError) as caught:
        read(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


def bailian(number: int) -> dict[str, Any]:
    """A request as Bailian's traces have it."""
    ids = {"chat_id": number, "parent_chat_id": -1, "type": "text", "turn": 1, "hash_ids": [number]}
    return dict(zip(BAILIAN, ROWS[number], strict=True)) | ids


@given(st.integers(0, 2), st.integers(0, 2), st.data())
def test_a_damaged_cell_of_servegen_is_named(row: int, column: int, data: st.DataObject) -> None:
    """With its line, its column and its value, whatever of the other cells."""
    cells = [[str(value) for value in values] for values in ROWS]
    cells[row][column] = data.draw(st.sampled_from(NO_NUMBER + (NO_COUNT if column else [])))
    text = "\n".join(",".join(line) for line in [SERVEGEN, *cells])
    assert f", line {row + 2}, column {SERVEGEN[column]}: " in refusal(text)


@given(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["", "twice", "other"]))
def test_a_damaged_row_or_header_of_servegen_is_one_message(row: int, column: int, change: str) -> None:
    """A cell too few or too many, and a name that is gone or there twice."""
    lines = [list(SERVEGEN), *([str(value) for value in values] for values in ROWS)]
    damaged = lines[row]
    if change == "twice":
        damaged.insert(column, damaged[column])
    elif change == "other" and row == 0:
        damaged[column] = "other"
    else:
        del damaged[column]
    said = refusal("\n".join(",".join(line) for line in lines))
    assert ", line 1" in said if row == 0 else f", line {row + 1}, column" in said or ", line 1" in said


@given(st.integers(0, 2), st.sampled_from(BAILIAN), st.data())
def test_a_damaged_number_of_bailian_is_named(row: int, name: str, data: st.DataObject) -> None:
    """With its line and its field, also where it is missing."""
    requests = [bailian(number) for number in range(3)]
    if data.draw(st.booleans()):
        requests[row][name] = data.draw(st.sampled_from(NO_VALUE))
    else:
        del requests[row][name]
    said = refusal("\n".join(map(json.dumps, requests)))
    assert f", line {row + 1}, column {name}: " in said or (row == 0 and f", line 1: no {name}" in said)


@given(st.integers(0, 2), st.sampled_from(WITHOUT_USE), st.sampled_from([*NO_VALUE, "gone"]))
def test_what_bailian_says_of_chats_changes_nothing(row: int, name: str, value: object) -> None:
    """Arrivals and lengths are read whatever stands there."""
    requests = [bailian(number) for number in range(3)]
    requests[row][name] = value
    if value == "gone":
        del requests[row][name]
    trace = read("\n".join(map(json.dumps, requests)))
    assert trace.arrived_at_s is not None
    np.testing.assert_allclose(trace.arrived_at_s, [0.0, 1.25, 1.75])
    assert list(zip(trace.prompt_tokens, trace.output_tokens, strict=True)) == [row[1:] for row in ROWS]


@given(st.integers(0, 2), st.sampled_from(NO_TENANT))
def test_a_damaged_type_of_bailian_is_named(row: int, value: object) -> None:
    """It is taken for the tenant, and called as in the file."""
    requests = [bailian(number) for number in range(3)]
    requests[row]["type"] = value
    assert f", line {row + 1}, column type: " in refusal("\n".join(map(json.dumps, requests)))


def test_a_type_that_is_not_there_is_no_tenant() -> None:
    """Null, empty or missing."""
    requests = [bailian(0) | {"type": None}, bailian(1) | {"type": ""}, bailian(2)]
    trace = read("\n".join(map(json.dumps, requests)))
    assert trace.own.tenant is not None and len(set(trace.own.tenant.tolist())) == 2
