"""`aptsched report`: what it writes, and what it refuses."""

from __future__ import annotations

import json
import shlex
from itertools import groupby
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


def test_the_trace_has_the_phases_and_the_counters_of_the_results(study: Path, tmp_path: Path) -> None:
    """A process a run, a thread a request, its phases one after the other, and a counter at each point."""
    out = tmp_path / "trace.json"
    assert call("report", str(study), "--out", str(tmp_path / "page.html"), "--perfetto", str(out)) == 0
    events = json.loads(out.read_text())["traceEvents"]
    document = results.document(study)
    assert {event["ph"] for event in events} == {"M", "X", "C"}
    assert all(isinstance(event["pid"], int) and isinstance(event["tid"], int) and event["name"] for event in events)
    names = [event["args"]["name"] for event in events if event["name"] == "process_name"]
    assert names == [f"{s['policy']}, {s['rate_per_s']:g} a second" for s in document["summary"]]
    slices = [event for event in events if event["ph"] == "X"]
    tracks = [list(track) for _, track in groupby(slices, lambda event: (event["pid"], event["tid"]))]
    requests = [request for run in document["phases"] for request in run["requests"]]
    for track, request in zip(tracks, requests, strict=True):
        assert [event["name"] for event in track] == request["phase"]
        assert track[0]["ts"] == request["start_s"][0] * 1e6 and all(event["dur"] > 0 for event in track)
        assert track[-1]["ts"] + track[-1]["dur"] == pytest.approx(request["end_s"] * 1e6)
    queue = [event["args"]["requests"] for event in events if event["name"] == "queue"]
    assert queue == [point[-1] for timeline in document["timelines"] for point in timeline["points"]]


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


@pytest.mark.slow
def test_a_full_comparison_is_under_five_megabytes(tmp_path: Path) -> None:
    """Five policies at three rates, 1,000 requests each."""
    policies = "fcfs,vllm-v1,sarathi,aptserve,aptserve:forms=kv"
    out = tmp_path / "study"
    rates = ("--rate", "0.9,1.3,1.8", "--certificates", "none", "--jobs", "1")
    assert call("simulate", "--workload", "sharegpt", "--policy", policies, *rates, "--out", str(out)) == 0
    assert call("report", str(out), "--out", str(tmp_path / "page.html")) == 0
    assert 500_000 < (tmp_path / "page.html").stat().st_size < 5_000_000
