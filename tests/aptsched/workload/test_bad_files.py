"""A bad trace file gives one message: file, line, column, value and what is accepted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.support.errors import InputError
from aptsched.workload import read_trace

OURS = "arrived_at_s,prompt_tokens,output_tokens\n0,10,1\n"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n"
BURSTGPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
JSONL = '{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [0]}\n'
HEADERS = [
    "arrived_at_s,prompt_tokens,output_tokens",
    "timestamp_ns,prompt_tokens,output_tokens",
    "TIMESTAMP,ContextTokens,GeneratedTokens",
    "Timestamp,Request tokens,Response tokens",
]
COUNT = "a whole number from 1 to 2**32 is"
COUNT_0 = "a whole number from 0 to 2**32 is"
TIME = "a number that is finite and at least 0 is"
DATE = "a time such as 2023-11-16 18:17:03.9799600 or 2024-05-10 00:00:00.009930+00:00 is"


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_trace(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_one_line(path: Path) -> None:
    """The file is read, the first arrival at 0, or refused in a line of no more than some 500 characters."""
    text = ""
    try:
        arrived = read_trace(path).arrived_at_s
    except InputError as error:
        text = str(error)
    assert "\n" not in text and len(text) < len(str(path)) + 500
    assert text or arrived is None or arrived[0] == 0.0


def refusal(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "trace"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    text = message(path)
    assert text.startswith(str(path))
    return text.removeprefix(str(path))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (OURS + "1,x,1\n", ", line 3, column prompt_tokens: 'x' is not accepted; " + COUNT),
        (OURS + "1,,1\n", ", line 3, column prompt_tokens: '' is not accepted; " + COUNT),
        (OURS + "1,0,1\n", ", line 3, column prompt_tokens: '0' is not accepted; " + COUNT),
        (OURS + "1,-3,1\n", ", line 3, column prompt_tokens: '-3' is not accepted; " + COUNT),
        (OURS + "1,1.5,1\n", ", line 3, column prompt_tokens: '1.5' is not accepted; " + COUNT),
        (OURS + "1,nan,1\n", ", line 3, column prompt_tokens: 'nan' is not accepted; " + COUNT),
        (OURS + "1,inf,1\n", ", line 3, column prompt_tokens: 'inf' is not accepted; " + COUNT),
        (OURS + "1,1_000,1\n", ", line 3, column prompt_tokens: '1_000' is not accepted; " + COUNT),
        (OURS + "1,1e13,1\n", ", line 3, column prompt_tokens: '1e13' is not accepted; " + COUNT),
        (OURS + "1,1,-1\n", ", line 3, column output_tokens: '-1' is not accepted; " + COUNT_0),
        (OURS + "-1,1,1\n", ", line 3, column arrived_at_s: '-1' is not accepted; " + TIME),
        (OURS + "NaN,1,1\n", ", line 3, column arrived_at_s: 'NaN' is not accepted; " + TIME),
        (OURS + "1e999,1,1\n", ", line 3, column arrived_at_s: '1e999' is not accepted; " + TIME),
        (OURS + f"1,{10**19},1\n", f", line 3, column prompt_tokens: '{10**19}' is not accepted; " + COUNT),
        (
            OURS + "1,1," + "9" * 5000 + "\n",
            ", line 3, column output_tokens: '" + "9" * 56 + "... is not accepted; " + COUNT_0,
        ),
        (OURS + "9" * 400 + ",1,1\n", ", line 3, column arrived_at_s: '" + "9" * 56 + "... is not accepted; " + TIME),
        (OURS + "9" * 5000 + ",1,1\n", ", line 3, column arrived_at_s: '" + "9" * 56 + "... is not accepted; " + TIME),
        (OURS + "\r\n\n1,x,1\r\n", ", line 5, column prompt_tokens: 'x' is not accepted; " + COUNT),
        (OURS + '1,"x\ny",1\n', ", line 4, column prompt_tokens: 'x\\ny' is not accepted; " + COUNT),
        (OURS + "1,2\n", ", line 3, column 3: '1,2' is not accepted; a row of 3 cells, as in the header, is"),
        (OURS + "1,2,3,4\n", ", line 3, column 4: '1,2,3,4' is not accepted; a row of 3 cells, as in the header, is"),
        (AZURE + "18:17,1,1\n", ", line 3, column TIMESTAMP: '18:17' is not accepted; " + DATE),
        (
            AZURE + "2023-02-30 00:00:00,1,1\n",
            ", line 3, column TIMESTAMP: '2023-02-30 00:00:00' is not accepted; " + DATE,
        ),
        (AZURE + "2023-11-16 18:17:04,0,1\n", ", line 3, column ContextTokens: '0' is not accepted; " + COUNT),
        (BURSTGPT + "5,GPT-4,3.5,1,4,API log\n", ", line 2, column Request tokens: '3.5' is not accepted; " + COUNT_0),
        (BURSTGPT + "x,GPT-4,3,1,4,API log\n", ", line 2, column Timestamp: 'x' is not accepted; " + TIME),
        (
            JSONL + '{"timestamp": 0, "input_length": true, "output_length": 1}\n',
            ", line 2, column input_length: True is not accepted; " + COUNT,
        ),
        (
            JSONL + '{"timestamp": "7", "input_length": 1, "output_length": 1}\n',
            ", line 2, column timestamp: '7' is not accepted; " + TIME,
        ),
        (
            JSONL + '{"timestamp": NaN, "input_length": 1, "output_length": 1}\n',
            ", line 2, column timestamp: nan is not accepted; " + TIME,
        ),
        (
            JSONL + '{"timestamp": 1' + "0" * 400 + ', "input_length": 1, "output_length": 1}\n',
            ", line 2, column timestamp: 1" + "0" * 56 + "... is not accepted; " + TIME,
        ),
        (
            JSONL + '{"timestamp": 1, "input_length": 1, "output_length": -2}\n',
            ", line 2, column output_length: -2 is not accepted; " + COUNT_0,
        ),
        (
            JSONL + '{"timestamp": 1, "input_length": 1}\n',
            ", line 2, column output_length: missing in an object of 'timestamp, input_length'; "
            "timestamp, input_length, output_length are needed",
        ),
    ],
)
def test_bad_rows(tmp_path: Path, content: str, text: str) -> None:
    """A bad row is refused with its line, column, value and what is accepted."""
    assert refusal(tmp_path, content) == text


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (JSONL + '{"timestamp": 0,\n', ", line 2: '{\"timestamp\": 0,' is not JSON ("),
        (JSONL + "[1, 2]\n", ", line 2: '[1, 2]' is not a JSON object; one object a line is accepted"),
        (JSONL + "{" * 100_000 + "\n", ", line 2: '{{{"),
        (JSONL + '{"a":' * 100_000 + "\n", ', line 2: \'{"a":'),
        (OURS + '1,"2,3\n', ", line 3: not a CSV row (unexpected end of data)"),
        (OURS + '1,"2"x,3\n', ", line 3: not a CSV row ("),
        (
            "prompt_tokens,output_tokens,Prompt_Tokens\n1,2,3\n",
            ", line 1, column prompt_tokens: given twice in the header",
        ),
        (OURS.encode() + b"1,\xff,1\n", ", line 3: b'1,\\xff,1\\n' is not UTF-8 text; CSV with the columns"),
        (bytes(range(256)), ", line 1: b'\\x00"),
        (b"prompt_tokens\x00,output_tokens\n1,1\n", ", line 1: b'prompt_tokens\\x00"),
        (OURS + f"{10**19},1,1\n", ": arrivals 1e+19 s apart are not accepted; up to 1e+09 s are"),
        (JSONL + '{"timestamp": ' + "9" * 5000 + "}\n", ', line 2: \'{"timestamp": 9999'),
        (
            JSONL + '{"timestamp": 0, "input_length": 1, "timestamp": 9, "output_length": 1}\n',
            ", line 2, column timestamp: given twice in an object; once is accepted",
        ),
        ("a,b\n1,2\n", ", line 1: the header 'a,b' is not known; CSV with the columns prompt_tokens, output_tokens"),
        ("\n\n12,13\n", ", line 3: the header '12,13' is not known; CSV with the columns"),
        ('[{"timestamp": 0}]', ", line 1: '[{\"timestamp\": 0}]' begins a JSON list; CSV with the columns"),
        ("", ": the file is empty; CSV with the columns"),
        ("\n \n", ": the file is empty; CSV with the columns"),
        (b"\xef\xbb\xbf", ": the file is empty; CSV with the columns"),
        ("prompt_tokens,output_tokens\n\n", ": no requests under the header; at least one is needed"),
        (
            BURSTGPT + "5,GPT-4,0,0,0,API log\n",
            ": no requests under the header (1 row without prompt tokens left out); at least one is needed",
        ),
    ],
)
def test_bad_files(tmp_path: Path, content: str | bytes, start: str) -> None:
    """A file of no known format is refused in one line that says which are accepted."""
    assert refusal(tmp_path, content).startswith(start)


def test_an_unknown_header_names_every_format(tmp_path: Path) -> None:
    """The refusal of a header lists what is accepted."""
    text = refusal(tmp_path, "a,b\n1,2\n")
    for name in ("arrived_at_s", "Azure", "BurstGPT", "Mooncake", "vLLM"):
        assert name in text


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    """A missing file, a directory and an impossible name are refused with the reason."""
    missing = tmp_path / "missing.csv"
    assert message(missing) == f"{missing}: cannot be read (No such file or directory); a readable file is accepted"
    assert message(tmp_path) == f"{tmp_path}: a directory is not accepted; a readable file is"
    assert "cannot be read (embedded null" in message(Path("a\0b"))
    assert "cannot be read (File name too long)" in message(Path("a" * 5000))


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    """A pipe that nobody writes to would be waited for, and a device may never end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), Path("/dev/zero")):
        assert message(path) == f"{path}: a pipe or a device is not accepted; a readable file is"


numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from(
        [10**400, -(10**400), "9" * 5000, "1e999", "-inf", "nan", "1e-320", "0x10", "1_0", "\u0663", "", "\t5 "]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=5),
)


@given(numbers, numbers, numbers, st.sampled_from([*HEADERS]))
def test_any_cell_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, time: object, prompt: object, output: object, header: str
) -> None:
    """Numbers of any size, text, and what is no number."""
    path = tmp_path_factory.mktemp("cells") / "trace.csv"
    cells = ",".join('"' + str(cell).replace('"', '""') + '"' for cell in (time, prompt, output))
    path.write_bytes(f"{header}\n{cells}\n".encode())
    assert_one_line(path)


@given(
    st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([b"arrived_at_s,prompt_tokens,output_tokens\n1,2,3\n"])))
)
def test_any_bytes_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    """Whatever the file is."""
    path = tmp_path_factory.mktemp("bytes") / "trace"
    path.write_bytes(b"".join(parts))
    assert_one_line(path)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["timestamp", "ts_ms", "input_length", "output_length", "hash_ids", "x"]), json_values
    )
)
def test_any_object_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, object]
) -> None:
    """As a line after a good one, and as the first."""
    path = tmp_path_factory.mktemp("objects") / "trace.jsonl"
    for content in (
        json.dumps(fields),
        JSONL + json.dumps({"timestamp": 1, "input_length": 1, "output_length": 1} | fields),
    ):
        path.write_text(content)
        assert_one_line(path)


def test_a_line_without_an_end_is_one_message(tmp_path: Path) -> None:
    """A terabyte of nothing is not read whole to find that out."""
    path = tmp_path / "sparse.csv"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="line 1: longer than 16777216 bytes is not accepted"):
        read_trace(path)
