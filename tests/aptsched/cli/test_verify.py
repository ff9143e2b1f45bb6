"""`aptsched verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aptsched import BatchProblem, greedy
from aptsched.problem.certificate_log import HEADER, as_line, record_line
from commands import call, says

PROBLEM = BatchProblem.hybrid([9.0, 7.0, 4.0], [6, 5, 3], 8, 0.25)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A directory with a gap study, a log of two decisions below it, and a file that is neither."""
    study = tmp_path / "out"
    assert call("gap", *GAP, "--out", str(study)) == 0
    (study / "runs").mkdir()
    lines = [record_line(i, PROBLEM, greedy(PROBLEM)) for i in range(2)]
    (study / "runs" / "certificates.jsonl").write_text(as_line(HEADER) + "".join(lines))
    (study / "other.json").write_text("{}")
    return study


GAP = ["--workload", "longbench", "--num-requests", "20", "--instances", "1", "--methods", "greedy", "core"]


def test_a_directory_is_searched(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file of results at any depth, what holds of it, and what was skipped."""
    capsys.readouterr()
    assert call("verify", str(results)) == 0
    out, err = capsys.readouterr()
    assert f"{results}/results.json: 5 of 5 entries hold\n" in out
    assert f"{results}/runs/certificates.jsonl: 2 of 2 entries hold\n" in out
    text = " ".join(out.split())
    assert "as said, for nothing here shows it: options, versions, machine, notices, records.method" in text
    assert says(out, f"skipped: {results}/other.json: schema: None is not accepted") and err == ""


def test_json_is_one_document(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file each, with its failures."""
    capsys.readouterr()
    assert call("verify", str(results), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["version"], document["holds"]) == ("aptsched.verification", 2, True)
    assert [file["schema"] for file in document["files"]] == ["aptsched.gap", "aptsched.certificates"]
    assert [file["num_holding"] for file in document["files"]] == [5, 2]


def test_what_does_not_hold_is_said_and_ends_with_1(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Record, field and value."""
    path = results / "results.json"
    document = json.loads(path.read_text())
    document["records"][1]["objective_s"] = 1.5
    path.write_text(json.dumps(document))
    capsys.readouterr()
    assert call("verify", str(path)) == 1
    assert "core on longbench-n20-load0.25-0: objective_s: 1.5, but it is " in " ".join(capsys.readouterr().out.split())
    assert call("verify", str(results), "--json") == 1
    failures = json.loads(capsys.readouterr().out)["files"][0]["failures"]
    assert "core on longbench-n20-load0.25-0" in [failure["record"] for failure in failures]


@pytest.mark.parametrize("version", ["2", "true", "null"])
def test_another_version_does_not_hold(tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not what this version writes, and cannot be checked."""
    path = tmp_path / "run.jsonl"
    path.write_text(f'{{"schema": "aptsched.certificates", "version": {version}}}\n')
    assert call("verify", str(path)) == 1
    assert "the file: version: " in capsys.readouterr().out


def test_lines_have_80_columns_but_for_paths(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is said of a file, and what it has against it."""
    (results / "results.json").write_text((results / "results.json").read_text().replace("objective_s", "worth_s"))
    capsys.readouterr()
    assert call("verify", str(results)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 or str(results) in line for line in lines) and len(lines) > 10
