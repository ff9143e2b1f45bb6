"""`aptsched report`: what it writes, and what it refuses."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

import results
from aptsched.report.document import as_json, sealed
from aptsched.report.page.command_line import command_of
from commands import call, says


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results.simulated(tmp_path_factory.mktemp("study"))


def test_one_command_makes_the_page_and_the_trace(study: Path, tmp_path: Path) -> None:
    """To the paths that are given; equal results give equal bytes."""
    for name in ("a", "b"):
        files = ("--out", str(tmp_path / f"{name}.html"), "--perfetto", str(tmp_path / f"{name}.json"))
        assert call("report", str(study), *files, "--title", "Mine") == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert "<h1>Mine</h1>" in (tmp_path / "a.html").read_text()


def test_the_command_on_the_page_makes_the_same_results(study: Path, tmp_path: Path) -> None:
    """Run again as it is written there, to another directory."""
    program, *words = shlex.split(command_of(results.document(study)))
    assert program == "aptsched" and call(*words, "--jobs", "1", "--out", str(tmp_path / "again")) == 0
    assert (tmp_path / "again" / "requests.csv").read_bytes() == (study / "requests.csv").read_bytes()


@pytest.mark.parametrize("case", ["missing", "empty", "changed", "old", "text", "list"])
def test_bad_input_is_one_message_and_no_file(
    case: str, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory that is not there or has no results, and results that were changed or are of another version."""
    given = tmp_path / "given"
    if case != "missing":
        given.mkdir()
    document = results.document(study)
    del document["sha256"]
    contents = {
        "changed": as_json({**sealed(document), "complete": False}),
        "old": as_json(sealed({**document, "version": 1})),
        "text": "no JSON",
        "list": as_json(sealed({**document, "summary": None})),
    }
    if case in contents:
        (given / "results.json").write_text(contents[case])
    capsys.readouterr()
    assert call("report", str(given), "--out", str(tmp_path / "page.html")) == 2
    printed = capsys.readouterr().err
    assert says(printed, str(given)) and "accepted" in printed and "Traceback" not in printed
    assert not (tmp_path / "page.html").exists()


def test_what_is_not_shown_is_said(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A document of another version beside one that is shown, on stderr and on the page."""
    for name in ("results.json", "requests.csv"):
        (tmp_path / name).write_bytes((study / name).read_bytes())
    (tmp_path / "capacity.json").write_text(as_json(sealed({"schema": "aptsched.capacity", "version": 77})))
    capsys.readouterr()
    assert call("report", str(tmp_path), "--out", str(tmp_path / "page.html")) == 0
    assert says(capsys.readouterr().err, "version 77, is not shown")
    assert "version 77, is not shown" in (tmp_path / "page.html").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes, as Linux has them")
def test_a_directory_whose_name_is_no_text_is_shown(study: Path, tmp_path: Path) -> None:
    """With a question mark for each byte that is none, on the page and in the trace."""
    given, files = (
        tmp_path / os.fsdecode(b"caf\xc3"),
        ("--out", str(tmp_path / "a.html"), "--perfetto", str(tmp_path / "a")),
    )
    shutil.copytree(study, given)
    (given / "requests.csv").unlink()
    assert call("report", str(given), str(study), *files) == 0
    assert "(caf?)" in (tmp_path / "a.html").read_text("utf-8") and "(caf?)" in (tmp_path / "a").read_text("utf-8")


@pytest.mark.slow
def test_a_full_comparison_is_under_five_megabytes(tmp_path: Path) -> None:
    """Five policies at three rates, 1,000 requests each."""
    policies = "fcfs,vllm-v1,sarathi,aptserve,aptserve:forms=kv"
    out = tmp_path / "study"
    rates = ("--rate", "0.9,1.3,1.8", "--certificates", "none", "--jobs", "1")
    assert call("simulate", "--workload", "sharegpt", "--policy", policies, *rates, "--out", str(out)) == 0
    assert call("report", str(out), "--out", str(tmp_path / "page.html")) == 0
    assert 500_000 < (tmp_path / "page.html").stat().st_size < 5_000_000
