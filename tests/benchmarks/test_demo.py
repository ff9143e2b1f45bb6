"""The last lines of `make demo`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from aptsched.report.table import percent
from benchmarks import demo
from commands import call

GAP = [
    "gap",
    "--workload",
    "sharegpt",
    "--num-requests",
    "20",
    "40",
    "--instances",
    "2",
    "--methods",
    "greedy,core,cpsat",
]
RUN = ["simulate", "--workload", "humaneval", "--rate", "3", "--num-requests", "20", "--jobs", "1"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo's commands write, a simulation for the live run."""
    made = tmp_path_factory.mktemp("demo")
    assert call(*GAP, "--out", str(made / "gap")) == call(*RUN, "--out", str(made / "run")) == 0
    return made


def test_three_lines_say_what_was_seen(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gap and the times of the last rows, the shares of the policies, files that are there; 80 columns."""
    monkeypatch.chdir(directory.parent)
    monkeypatch.setattr(sys, "argv", ["demo", directory.name])
    demo.main()
    first, second, third = capsys.readouterr().out.splitlines()
    greedy = json.loads((directory / "gap" / "results.json").read_text())["summary"][-3]
    assert f"greedy {greedy['optimum_gap_mean']:.2%} off" in first and "CP-SAT" in first
    summary = json.loads((directory / "run" / "results.json").read_text())["summary"]
    assert second.startswith(f"Live, every token by its deadline: fcfs {percent(summary[0]['attained'])}, aptserve ")
    assert max(map(len, (first, second, third))) <= 80
    assert all((directory.parent / name.strip(",;")).is_file() for name in third.split()[1:3])


@pytest.mark.parametrize(("pace", "busy"), [(None, False), (1.2, False), (1.5, True), (20.0, True), (0.4, True)])
def test_a_busy_machine_is_said_to_be_one(directory: Path, pace: float | None, busy: bool) -> None:
    """Where iterations were not as calibrated the shares stand with a doubt."""
    document = json.loads((directory / "run" / "results.json").read_text())
    document["summary"][1]["pace"] = pace
    assert ("machine busy" in demo.run_line(document)) == busy
