"""Results with one value changed and sealed anew, as another version might write them: a page, or one message."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import results
from aptsched.report.document import as_json, sealed
from commands import call
from engine import capacity

OTHERS: list[Any] = [None, True, "x", "", [], {}, [1], {"a": 1}, -1, 1e308, 10**400, "\ud800", "<b>", [None]]
LENGTHS = [(10 + 7 * i % 50, 5 + 3 * i % 17) for i in range(20)]
Path_ = tuple[str | int, ...]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Of a simulation, and of a search, by the names of their files."""
    home = tmp_path_factory.mktemp("foreign")
    few: dict[str, Any] = {"num_blocks": 12, "num_requests": 12, "seeds": 1, "level": 0.9, "setting": "paper"}
    capacity(trace=LENGTHS, policy="fcfs,sarathi", objectives="0.5/0.2", gpus_for=3, **few).write(home)
    found = json.loads((home / "capacity.json").read_text(encoding="utf-8"))
    return {"results.json": results.document(results.simulated(home)), "capacity.json": found}


def places(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """The paths to all values of a document, in a list to those of its first two entries."""
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*at, key)
        yield from places(inner, (*at, key))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_page_or_one_message(
    documents: dict[str, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """Whatever the value is, or where it is missing: no traceback, and what is printed says which directory it is."""
    name = data.draw(st.sampled_from(sorted(documents)))
    changed = copy.deepcopy(documents[name])
    place = data.draw(st.sampled_from(list(places(changed))))
    at: Any = changed
    for key in place[:-1]:
        at = at[key]
    if isinstance(at, list) or data.draw(st.booleans()):
        at[place[-1]] = data.draw(st.sampled_from(OTHERS))
    else:
        del at[place[-1]]
    for file in tmp_path.iterdir():
        file.unlink()
    (tmp_path / name).write_text(as_json(sealed(changed)), encoding="utf-8")
    capsys.readouterr()
    code = call("report", str(tmp_path), "--out", str(tmp_path / "page.html"))
    said = capsys.readouterr().err
    assert (code, (tmp_path / "page.html").exists()) in ((0, True), (2, False))
    assert code == 0 or (said.startswith("error: ") and said.count("\n") == 1 and tmp_path.name in said)
