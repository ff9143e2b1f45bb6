"""Directories of results that were changed: every claim is held to what it follows from, or is said not to be."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import results
from aptsched.metrics.request_rows import COLUMNS
from commands import call
from proofs import gap_study, run_study

UNHELD = {
    "timelines",
    "phases",
    "gpu",
    "precision",
    "model",
    "cost",
    "times",
    "scheduling",
    *gap_study.AS_SAID[:4],
}  # whole objects, as said
HELD_LOOSELY = {
    *(f"summary.{name}" for name in ("num_iterations", "num_prefill_tokens", "num_decode_tokens", "pace")),
    *("summary.num_swapped_blocks", "summary.tbt.median_s", "summary.tbt.p90_s"),
    *("replays.num_own_slo", "replays.num_clipped", "replays.num_output_tokens", "replays.num_beyond_context"),
    *("cache.num_host_blocks", "cache.block_size", "cache.hidden_ratio", "cache.block_bytes"),
}  # some other values are possible, and nothing tells which is true


@pytest.fixture(params=["run", "gap"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def copy(originals: dict[str, Path], kind: str, tmp_path: Path) -> Path:
    return shutil.copytree(originals[kind], tmp_path / kind)


def test_results_hold_as_they_are_written(copy: Path) -> None:
    """The whole directory, the document alone with what it names, and sealed anew."""
    assert results.failures(copy) == results.failures(copy / "results.json") == []
    results.seal(copy)
    assert results.failures(copy) == []


@given(st.data())
def test_any_byte_that_is_another_is_found(originals: dict[str, Path], data: st.DataObject) -> None:
    """Of any file but a plot; in results.json unless it says the same, as with another space."""
    directory = originals[data.draw(st.sampled_from(["run", "gap"]))]
    file = data.draw(st.sampled_from([path for path in sorted(directory.iterdir()) if path.suffix != ".png"]))
    before = file.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.sampled_from(b'0123456789.,-[]\n "xe') | st.integers(0, 255))
    after = before[:at] + bytes([byte]) + before[at + 1 :]
    file.write_bytes(after)
    try:
        found = results.failures(directory)
    finally:
        file.write_bytes(before)
    assert found or after == before or (file.name == "results.json" and json.loads(after) == json.loads(before))


def test_the_digest_is_not_left_out(copy: Path) -> None:
    """Nor called something else."""
    given = results.document(copy)
    for changed in ({name: given[name] for name in given if name != "sha256"}, given | {"sha256": None}):
        (copy / "results.json").write_text(json.dumps(changed))
        assert any(": sha256: " in reason for reason in results.failures(copy))


def test_a_file_that_is_missing_is_found(copy: Path) -> None:
    """Each that is named, and the document that names them; plots claim nothing."""
    for file in sorted(copy.iterdir()):
        content = file.read_bytes()
        file.unlink()
        assert bool(results.failures(copy)) == (file.suffix != ".png")
        file.write_bytes(content)


def changes(directory: Path) -> Iterator[tuple[str, results.Path_, Any]]:
    """The name of each value of a document, where it is, and others in its place."""
    for path, value in results.leaves(results.document(directory)):
        if path[0] not in UNHELD and path[-1] != "sha256":
            for other in results.others(value):
                yield ".".join(key for key in path if isinstance(key, str)), path, other


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_a_false_claim_is_found_though_every_digest_is_right(copy: Path, kind: str, every: int) -> None:
    """Each value of results.json changed, one by one; what is not found is of what is said not to be shown."""
    given, found, passed = results.document(copy), Counter[str](), Counter[str]()
    for name, path, other in list(changes(copy))[::every]:
        results.seal(copy, results.replaced(given, path, other))
        (found if results.failures(copy) else passed)[name] += 1
    assert set(passed) <= HELD_LOOSELY and sum(found.values()) > 500 // every
    said = ", ".join(run_study.as_said(given)) if kind == "run" else ""
    for name in passed:
        assert name.split(".")[0] in said.split(", ") or ".".join(name.split(".")[:2]) in said


@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_a_false_cell_of_requests_is_found_though_every_digest_is_right(run: Path, every: int) -> None:
    """Each cell of a row; a TTFT and a lateness that change no percentile and no flag are the measurement itself."""
    given, lines = results.document(run), (run / "requests.csv").read_text().splitlines(keepends=True)
    passed = Counter[str]()
    for number in range(1, len(lines), every):
        cells = lines[number].removesuffix("\n").split(",")
        for column, name in enumerate(COLUMNS[:-1]):
            for other in _cells(cells[column]):
                row = ",".join([*cells[:column], other, *cells[column + 1 :]])
                (run / "requests.csv").write_text("".join([*lines[:number], f"{row}\n", *lines[number + 1 :]]))
                results.seal(run, given)
                passed[name] += not results.failures(run)
    assert {name for name, count in passed.items() if count} <= {"ttft_s", "max_lateness_s"}


def _cells(cell: str) -> set[str]:
    near = {str(int(cell) + 1)} if cell.isdigit() else {repr(float(cell) * 1.01)} if "." in cell else {cell + "x"}
    return (near | {"", "0", "1", "-1", "finished", "rejected", "unfinished"}) - {cell}


@pytest.mark.parametrize("change", ["gone", "twice", "moved", "cut here"])
def test_a_false_line_is_found_though_every_digest_is_right(run: Path, change: str) -> None:
    """Of requests.csv and of the logs: one that is gone, there twice, or after its next one; a log cut at a line."""
    given = results.document(run)
    for file in sorted(run.iterdir()):
        if file.suffix not in (".csv", ".jsonl"):
            continue
        lines = file.read_text().splitlines(keepends=True)
        for at in range(len(lines) - (change == "moved")):
            after = {
                "gone": [*lines[:at], *lines[at + 1 :]],
                "twice": [*lines[: at + 1], *lines[at:]],
                "moved": [*lines[:at], *lines[at : at + 2][::-1], *lines[at + 2 :]],
                "cut here": lines[:at],
            }[change]
            file.write_text("".join(after))
            results.seal(run, given)
            assert results.failures(run), (file.name, at)
        file.write_text("".join(lines))


def test_a_false_load_is_found(originals: dict[str, Path], tmp_path: Path) -> None:
    """In the instance and its records alike, with summary, name and options that agree with it."""
    gap = shutil.copytree(originals["gap"], tmp_path / "gap")
    text = (gap / "results.json").read_text()
    (gap / "results.csv").write_text((gap / "results.csv").read_text().replace("0.5", "0.6"))
    results.seal(gap, json.loads(text.replace("load0.5", "load0.6").replace('"load":0.5', '"load":0.6')))
    assert any("load: 0.6, but" in reason for reason in results.failures(gap))


@pytest.mark.parametrize(
    "names",
    [["../run/requests.csv"], ["/etc/hostname"], ["."], [""], ["a\nb"], [7], ["requests.csv", "requests.csv"], []],
)
def test_files_are_named_once_and_beside_the_document(run: Path, names: list[Any]) -> None:
    """No path leads elsewhere; requests.csv has to be there."""
    given = results.document(run)
    logs = [entry for entry in given["files"] if entry["file"] != "requests.csv"]
    results.seal(run, given | {"files": [*logs, *({"file": name, "sha256": "0"} for name in names)]})
    assert results.failures(run)


@pytest.mark.parametrize(
    "field", ["replays", "summary", "by_tenant", "holds", "rejected", "timelines", "phases", "files"]
)
def test_entries_of_any_kind_are_one_finding(run: Path, field: str) -> None:
    """One that is no object, is empty, or lacks a field, though every digest is right."""
    given = results.document(run)
    first, *others = given[field]
    names = first.keys() - {"num_beyond_context", "sha256"}  # of simulations alone, and written anew
    entries: list[Any] = [7, None, {}, [], *({k: v for k, v in first.items() if k != name} for name in sorted(names))]
    for entry in entries:
        results.seal(run, given | {field: [entry, *others]})
        reasons = results.failures(run)
        assert reasons and not any("checker failed" in reason for reason in reasons)


def test_a_printed_document_shows_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json without --out has no requests beside it."""
    (tmp_path / "trace.csv").write_text(results.TRACE)
    assert call("simulate", "--trace", str(tmp_path / "trace.csv"), *results.SIMULATE, "--json") == 0
    (tmp_path / "printed.json").write_text(capsys.readouterr().out)
    (tmp_path / "trace.csv").unlink()
    reasons = results.failures(tmp_path)
    assert any("requests.csv is not among them" in reason for reason in reasons)
