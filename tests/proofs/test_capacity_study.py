"""Results of a search for the highest rates that hold are checked against their own probes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aptsched.report.document import as_json, sealed
from engine import capacity
from proofs.sources import read

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    lengths = [(10 + 7 * i % 50, 5 + 3 * i % 17) for i in range(40)]
    return capacity(
        trace=lengths,
        policy="fcfs,sarathi",
        num_blocks=12,
        num_requests=15,
        seeds=2,
        level=[0.9, 0.6],
        setting="paper",
        objectives="0.5/0.2",
    ).document


def reasons_of(document: Document, directory: Path) -> list[str]:
    """Why the file does not hold; nothing if it does."""
    path = directory / "capacity.json"
    path.write_text(as_json(document), encoding="utf-8")
    return [reason for verdict in read(path).verdicts for reason in verdict.reasons]


def test_results_as_they_are_written_hold(document: Document, tmp_path: Path) -> None:
    """With a verdict on each rate and ratio, and on the whole."""
    assert reasons_of(document, tmp_path) == []
    assert read(tmp_path / "capacity.json").num_verdicts == 4 + 2 + 1


def faster(document: Document) -> None:
    document["capacities"][0]["rate_per_s"] *= 1.01


def narrower(document: Document) -> None:
    document["capacities"][1]["low"] *= 1.01


def better(document: Document) -> None:
    document["comparisons"][0]["ratio"] *= 1.01


def luckier(document: Document) -> None:
    document["capacities"][0]["rates_per_s"][0] *= 1.01


def without_a_failure(document: Document) -> None:
    document["probes"] = [row for row in document["probes"] if row["attained"] is None or row["attained"] >= 0.6]


@pytest.mark.parametrize("change", [faster, narrower, better, luckier, without_a_failure])
def test_a_changed_figure_does_not_hold(document: Document, tmp_path: Path, change: Callable[[Document], None]) -> None:
    """Though the document is sealed again: the probes say another thing."""
    changed = copy.deepcopy(document)
    change(changed)
    assert any("is not what the probes come to" in reason for reason in reasons_of(sealed(changed), tmp_path))


def test_a_changed_document_is_not_that_of_its_digest(document: Document, tmp_path: Path) -> None:
    """Whatever was changed."""
    changed = json.loads(json.dumps(document)) | {"notices": ["changed"]}
    assert [reason.partition(":")[0] for reason in reasons_of(changed, tmp_path)] == ["sha256"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("probes", None), ("probes", [{}]), ("capacities", [1]), ("options", 3), ("comparisons", [{"policy": 1}])],
)
def test_any_content_has_one_verdict(document: Document, tmp_path: Path, name: str, value: object) -> None:
    """What is no result of ours does not hold, and says why."""
    (reason,) = reasons_of(sealed(document | {name: value}), tmp_path)
    assert reason.startswith(f"{name}: ")
