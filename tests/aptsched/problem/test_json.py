"""Instances as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import BatchProblem, InputError
from aptsched.problem import instance
from aptsched.support.files import write
from aptsched.support.json_text import parse_json
from strategies import sweep_problem

SMALL = BatchProblem(
    values=[[3.0, 2.5], [2.0, 1.75], [1.0, 0.75]],
    weights=[[6, 3], [4, 2], [3, 2]],
    capacity=7,
    num_tokens=[5, 6, 7],
    max_tokens=12,
    max_seqs=2,
    required=[False, False, True],
)
ARRAYS = ("values", "weights", "num_tokens", "required")
LIMITS = ("capacity", "max_tokens", "max_seqs")


def assert_equal(one: BatchProblem, other: BatchProblem) -> None:
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None and b is None) or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    for name in LIMITS:
        assert getattr(one, name) == getattr(other, name)


def edited(**problem: Any) -> dict[str, Any]:
    document = instance.to_dict(SMALL)
    del document["sha256"]
    return {**document, "problem": {**document["problem"], **problem}}


def test_what_is_loaded_is_what_was_saved_to_the_last_bit(tmp_path: Path) -> None:
    """Over the random problems of the sweep; the digests agree too."""
    for index in range(200):
        problem = sweep_problem(index)
        instance.save(problem, tmp_path / "problem.json")
        loaded = instance.load(tmp_path / "problem.json")
        assert_equal(loaded, problem)
        assert instance.digest(loaded) == instance.digest(problem)


@given(st.lists(st.floats(-1e250, 1e250), min_size=1, max_size=4))
def test_every_finite_float_is_kept(values: list[float]) -> None:
    """Subnormal ones and -0.0 included."""
    problem = BatchProblem([[value] for value in values], [[1]] * len(values), 1)
    text = json.dumps(instance.to_dict(problem))
    assert_equal(instance.from_dict(parse_json(text)), problem)


FLAT = st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1e-06]), max_size=6)


@given(FLAT, st.integers(1, 3), st.sampled_from([np.float64, np.int64, np.bool_]))
def test_arrays_are_written_as_json_has_them(numbers: list[float], width: int, dtype: type[np.generic]) -> None:
    """Arrays of either number of axes, equal rows or not, are the text that Python's encoder makes of their lists."""
    flat = np.clip(np.array(numbers), -1e9, 1e9).astype(dtype)
    for array in (flat, flat[: len(flat) // width * width].reshape(-1, width)):
        assert instance.array_json(array) == json.dumps(array.tolist(), separators=(",", ":"))


def test_digest_is_the_documented_one() -> None:
    """SHA-256 of the content as JSON, names sorted, no spaces; the example of docs/formats.md."""
    problem = BatchProblem([[3, 2.5], [2, 1.75], [1, 0.75]], [[6, 3], [4, 2], [3, 2]], 7)
    assert instance.digest(problem) == "2a4de6c73042ffcd9529341626978c4135c3bcdbd6a7e54ef541de625c09cc53"


def test_digest_depends_on_every_field() -> None:
    """Any change of the content is another digest."""
    changes: list[dict[str, Any]] = [
        {"values": [[3.0, 2.5], [2.0, 1.75], [1.0, np.nextafter(0.75, 1)]]},
        {"weights": [[6, 3], [4, 2], [3, 1]]},
        {"capacity": 8},
        {"num_tokens": [5, 6, 8]},
        {"max_tokens": 13},
        {"max_seqs": None},
        {"required": [False, True, False]},
    ]
    digests = {instance.digest(instance.from_dict(edited(**change))) for change in changes}
    assert len(digests | {instance.digest(SMALL)}) == len(changes) + 1


def test_a_file_written_by_hand_needs_neither_digest_nor_optional_fields() -> None:
    """Whole numbers stand for seconds too."""
    document = {
        "schema": "aptsched.instance",
        "version": 1,
        "problem": {"values": [[3, 2]], "weights": [[2, 1]], "capacity": 2},
    }
    assert_equal(instance.from_dict(document), BatchProblem([[3.0, 2.0]], [[2, 1]], 2))


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ([], ["instance", "[]", "an object"]),
        ({**edited(), "schema": "other"}, ["schema", '"other"', '"aptsched.instance"']),
        ({**edited(), "version": 2}, ["version", "2", "1 is"]),
        ({**edited(), "version": True}, ["version", "true"]),
        ({"schema": "aptsched.instance", "version": 1}, ["problem", "missing"]),
        ({**edited(), "more": 1}, ['"more"', "unknown"]),
        ({**edited(), "sha256": "0" * 64}, ["sha256", '"000', instance.digest(SMALL)]),
        ({**edited(), "sha256": None}, ["sha256", "null", instance.digest(SMALL)]),
        ({**edited(), "problem": 3}, ["problem", "3", "an object"]),
        (edited(weight=[[1]]), ['"weight"', "unknown", "weights"]),
        (edited(values="3"), ["values", '"3"', "a list"]),
        (edited(values=[3.0]), ["values[0]", "3.0", "a list"]),
        (edited(values=[[3.0, "2"]]), ["values[0][1]", '"2"', "a number"]),
        (edited(values=[[3.0, True]]), ["values[0][1]", "true", "a number"]),
        (edited(values=[[3.0, None]]), ["values[0][1]", "null", "a number"]),
        (edited(values=[[3.0], [1.0, 2.0]]), ["values", "different lengths"]),
        (edited(values=[]), ["values", "empty"]),
        (edited(values=[[10**400]]), ["values[0][0]", "1000", "numbers below 2**63 are"]),
        (edited(weights=[[6, 3], [4, -2], [3, 2]]), ["weights[1, 1]", "-2"]),
        (edited(weights=[[6, 3], [4, 2.5], [3, 2]]), ["weights[1, 1]", "2.5"]),
        (edited(weights=[[6, 3]]), ["weights", "[1, 2]", "[3, 2]"]),
        (edited(capacity=None), ["capacity", "null", "a number"]),
        (edited(capacity=-1), ["capacity", "-1"]),
        (edited(capacity=7.0), ["capacity", "7.0"]),
        (edited(max_seqs="3"), ["max_seqs", '"3"', "a number"]),
        (edited(num_tokens=None), ["num_tokens", "missing", "12"]),
        (edited(num_tokens=[1, 2]), ["num_tokens", "[2]", "[3]"]),
        (edited(required=[1, 0, 0]), ["required[0]", "1", "true or false"]),
        (edited(required=[True]), ["required", "[1]", "[3]"]),
    ],
)
def test_one_message_names_field_value_and_what_is_accepted(document: object, parts: list[str]) -> None:
    """Whatever is wrong with the fields."""
    with pytest.raises(InputError) as caught:
        instance.from_dict(parse_json(json.dumps(document)))
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize("missing", ["values", "weights", "capacity"])
def test_a_missing_field_is_named(missing: str) -> None:
    """With the object that lacks it."""
    document = edited()
    del document["problem"][missing]
    with pytest.raises(InputError, match=f"{missing}: missing in problem"):
        instance.from_dict(document)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["line 1, column 1", "not JSON"]),
        ('{\n  "schema": "a"\n  "version": 1}', ["line 3, column 3", "not JSON"]),
        ('{"values": [NaN]}', ["NaN", "finite"]),
        ('{"values": [-Infinity]}', ["-Infinity", "finite"]),
        ('{"a": 1, "a": 2}', ['"a"', "twice"]),
        ("[" * 100_000, ["deeply"]),
        ('{"a": ' + "1" * 5000 + "}", ["digits"]),
    ],
)
def test_bad_json_is_refused_with_its_place(tmp_path: Path, text: str, parts: list[str]) -> None:
    """Line and column, or the value; and the file."""
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        instance.load(path)
    assert all(part in str(caught.value) for part in [str(path), *parts]), str(caught.value)


def test_a_number_beyond_the_floats_is_refused() -> None:
    """Python reads 1e999 as infinity."""
    with pytest.raises(InputError, match=r"values\[0, 0\]: inf is not"):
        instance.from_dict(edited(values=parse_json("[[1e999]]")))


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    """Missing, a directory, not text; a folder that is not there."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", ".", "binary"):
        with pytest.raises(InputError, match="accepted"):
            instance.load(tmp_path / name)
    for name in ("missing/problem.json", "."):
        with pytest.raises(InputError, match="cannot be written"):
            instance.save(SMALL, tmp_path / name)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file is whole and nothing lies beside it."""
    path = tmp_path / "file"
    write(path, "old")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
