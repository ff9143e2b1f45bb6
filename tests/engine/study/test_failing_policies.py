"""A policy that fails, however it does, is one message; all other runs are served, printed and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import call, says

FAILS = {
    "raises": "raise ValueError('no')",
    "raises_of_its_own": "raise Own",
    "exits": "sys.exit(0)",
    "exits_with_text": "sys.exit('bye')",
    "interrupts_itself": "raise KeyboardInterrupt",
    "ends_a_generator": "raise GeneratorExit",
    "reads_no_column": "return view.num_token",
    "stops_an_iteration": "raise StopIteration",
    "goes_too_deep": "self.decide(view)",
    "cannot_be_said": "raise Unsaid",
    "nothing": "return None",
    "garbage": "return {'request': [0]}",
    "generator": "yield Plan()",
    "row": "return Plan(np.array([10**6]), np.array([1]), np.array([1]))",
    "list": "return Plan([0], [1], [1])",
    "fields": "return Plan(None, None, None)",
    "conversions": "return Plan(convert_to=None)",
}
CODE = """
import sys
import numpy as np
from aptsched.scheduling.plan import Plan
from aptsched.policies.fcfs import FCFS

class Own(BaseException):
    pass

class Unsaid(Exception):
    def __str__(self):
        raise self

class Fails:
    num_decisions = 0

    def decide(self, view):
        self.num_decisions += 1
        if self.num_decisions > 20:
            return self.fail(view)
        return FCFS().decide(view)

    def fail(self, view):
        {fail}
"""
WORK = ["simulate", "--workload", "humaneval", "--num-requests", "8"]


def fails(directory: Path, name: str, code: str = CODE) -> str:
    """A policy in a file that fails at its 21st decision."""
    path = directory / f"{name}.py"
    path.write_text(code.format(fail=FAILS[name]))
    return f"{path}:Fails"


@pytest.mark.parametrize("name", FAILS)
def test_one_message_and_all_others_are_served(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names the policy and its file; results say what failed and why, and are not complete."""
    policy, out = fails(tmp_path, name), tmp_path / "out"
    assert call(*WORK, "--policy", "fcfs", policy, "aptserve", "--jobs", "1", "--out", str(out)) == 2
    printed, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and policy in err and "2 of 3 runs were served" in err
    assert f"{tmp_path / name}.py, line " in err
    document = json.loads((out / "results.json").read_text())
    assert [row["policy"] for row in document["summary"]] == ["fcfs", "aptserve"] and not document["complete"]
    (failed,) = document["failed"]
    assert failed["policy"] == policy and failed["reason"] in err and failed["rate_per_s"] == 6
    assert any(failed["reason"] in notice for notice in document["notices"]) and says(printed, "failed: policy")
    assert len((out / "requests.csv").read_text().splitlines()) == 17 and not list(out.glob(".*"))


@pytest.mark.parametrize("then", ["sys.exit(0)", "import os; os._exit(3)", "import os; os.kill(os.getpid(), 9)"])
def test_in_several_processes_too(then: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the policy takes its process with it; the runs behind it are served by another."""
    (tmp_path / "mine.py").write_text(CODE.format(fail=then))
    policies, out = ["fcfs", f"{tmp_path}/mine.py:Fails", "aptserve", "sjf"], tmp_path / "out"
    assert call(*WORK, "--policy", *policies, "--rate", "3", "6", "--jobs", "2", "--out", str(out)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "mine.py:Fails" in err and "6 of 8 runs were served" in err
    document = json.loads((out / "results.json").read_text())
    assert [(row["policy"], row["rate_per_s"]) for row in document["summary"]] == [
        (policy, rate) for rate in (3, 6) for policy in ("fcfs", "aptserve", "sjf")
    ]
    assert [failed["rate_per_s"] for failed in document["failed"]] == [3, 6]
    assert not list(out.glob(".*"))


@pytest.mark.parametrize(
    "code", ["raise SystemExit(0)", "raise KeyboardInterrupt", "class E(BaseException): ...\nraise E"]
)
def test_a_file_that_leaves_while_it_is_loaded_is_one_message(
    code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything runs."""
    (tmp_path / "mine.py").write_text(code)
    assert call(*WORK, "--policy", "fcfs", f"{tmp_path}/mine.py:Mine") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "mine.py cannot be loaded" in err and "line " in err


def test_a_policy_that_leaves_while_it_is_made_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything runs."""
    (tmp_path / "mine.py").write_text("class Mine:\n    def __init__(self):\n        raise SystemExit(7)\n")
    assert call(*WORK, "--policy", "fcfs", f"{tmp_path}/mine.py:Mine") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "cannot be made: SystemExit: 7 at " in err and "line 3" in err


def test_a_policy_that_idles_is_given_up_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Below the tables and in the results; arrivals last longer than it may idle once there are none."""
    idle = (
        "from aptsched.scheduling.plan import Plan\nclass Idle:\n    def decide(self, view):\n        return Plan()\n"
    )
    (tmp_path / "idle.py").write_text(idle)
    arrivals = ["--workload", "humaneval", "--num-requests", "8", "--rate", "0.2"]
    assert call("simulate", *arrivals, "--policy", f"{tmp_path}/idle.py:Idle", "--out", str(tmp_path / "out")) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "0 of 8 requests had ended, 8 are unfinished: nothing ran in 1000 decisions in a row" in out
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    (row,) = document["summary"]
    assert row["complete"] and row["reason"] == "nothing ran in 1000 decisions in a row"
    assert document["replays"][0]["last_arrival_s"] > 20


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_policy_that_changes_the_directory_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    """Paths given count from where the command began, and nothing is left beside what was written."""
    monkeypatch.chdir(tmp_path)
    code = f"import os\n{CODE.format(fail='os.chdir(os.sep); return FCFS().decide(view)')}"
    (tmp_path / "moves.py").write_text(code)
    given = ["--policy", "moves.py:Fails,aptserve", "--jobs", jobs, "--out", "study"]
    assert call(*WORK, *given) == 0
    monkeypatch.chdir(tmp_path)
    written = {path.name for path in Path("study").iterdir()}
    assert {"results.json", "requests.csv", "certificates-aptserve.jsonl"} <= written
    assert not [name for name in written if name.startswith(".")]
    assert call("verify", "study") == 0
