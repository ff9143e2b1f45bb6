"""`aptsched run` with bad input, with policies that fail, and broken off: one line, and what was done is kept."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import call, says

IDLE = "from aptsched.scheduling.plan import Plan\nclass Idle:\n    def decide(self, view):\n        return Plan()\n"
BAD = "import numpy as np\nfrom aptsched.scheduling.plan import Plan\n"
TWICE = f"{BAD}class Twice:\n    def decide(self, view):\n        return Plan(*np.array([[0, 0], [1, 1], [1, 1]]))\n"
ERROR = f"{BAD}class Error:\n    def decide(self, view):\n        return view.nothing\n"
BASE = f"{BAD}class Leaves:\n    def decide(self, view):\n        raise SystemExit\n"

LATE = """
from aptsched.policies.fcfs import FCFS
class Late:
    num = 0
    def decide(self, view):
        self.num += 1
        return FCFS().decide(view) if self.num < 20 else None
"""


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["trace, workload", "neither"]),
        (["--workload", "chat"], ["workload", "'chat'", "sharegpt"]),
        (["--trace", "missing.csv"], ["missing.csv", "No such file"]),
        (["--policy", "lifo"], ["policy", "'lifo'", "fcfs, ", "aptserve:as=paper and path.py:Name are"]),
        (["--policy", "aptserve:select=cplex"], ["select", "'cplex'", "greedy, core"]),
        (["--policy", ","], ["policy", "at least one"]),
        (["--policy", "missing.py:Mine"], ["policy", "missing.py"]),
        (["--policy", "bad.py:Mine"], ["policy", "bad.py", "SyntaxError"]),
        (["--policy", "idle.py:Mine"], ["policy", "idle.py", "'Mine'", "Idle"]),
        (["--workload", "sharegpt", "--rate", "0"], ["rate", "0"]),
        (["--workload", "sharegpt", "--rate", "fast"], ["rate", "'fast'"]),
        (["--workload", "sharegpt", "--cv", "-1"], ["cv", "-1"]),
        (["--workload", "sharegpt", "--seed", "-1"], ["seed", "-1"]),
        (["--workload", "sharegpt", "--num-requests", "0"], ["num_requests", "0"]),
        (["--workload", "sharegpt", "--slo-ttft", "0"], ["ttft", "0"]),
        (["--workload", "sharegpt", "--slo-ttft", "inf"], ["ttft", "inf", "finite"]),
        (["--workload", "sharegpt", "--slo-tpot", "nan"], ["tpot", "nan"]),
        (["--workload", "sharegpt", "--max-prompt-tokens", "0"], ["max_prompt_tokens", "0"]),
        (["--workload", "sharegpt", "--max-output-tokens", "-1"], ["max_output_tokens", "-1"]),
        (["--workload", "sharegpt", "--max-tokens", "0"], ["max_tokens", "0"]),
        (["--workload", "sharegpt", "--max-seqs", "0"], ["max_seqs", "0"]),
        (["--workload", "sharegpt", "--num-blocks", "0"], ["num_blocks", "0"]),
        (["--workload", "sharegpt", "--cache-mem", "much"], ["cache_mem", "'much'", "512MiB"]),
        (["--workload", "sharegpt", "--cache-mem", "1", "--num-blocks", "1"], ["cache_mem, num_blocks", "both"]),
        (["--workload", "sharegpt", "--swap-space", "much"], ["swap_space", "'much'", "512MiB"]),
        (["--workload", "sharegpt", "--swap-space", "10", "--rho", "0"], ["swap_space", "10", "bytes"]),
        (["--workload", "sharegpt", "--swap-space", "1000000TiB", "--rho", "0"], ["swap_space", "1000000TiB", "bytes"]),
        (["--workload", "sharegpt", "--calibration", "bad.py"], ["bad.py", "not JSON"]),
        (["--workload", "sharegpt", "--hidden-attention", "no"], ["hidden_attention", "'no'", "absorbed and rebuilt"]),
        (["--workload", "sharegpt", "--rho", "-1"], ["rho", "-1"]),
        (["--workload", "sharegpt", "--threads", "0"], ["threads", "0"]),
        (["--workload", "sharegpt", "--dtype", "int8"], ["dtype", "'int8'", "bf16"]),
        (["--workload", "sharegpt", "--device", "abacus"], ["device", "'abacus'"]),
        (["--workload", "sharegpt", "--out", "bad.py"], ["bad.py", "directory"]),
        (["--workload", "sharegpt", "--model", "missing"], ["model", "'missing'", "smollm2"]),
        (["--workload", "sharegpt", "--cache-mem", "10", "--rho", "0"], ["cache_mem", "10", "bytes"]),
    ],
)
def test_bad_input_is_one_line(
    tiny_opt: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    parts: list[str],
) -> None:
    """On stderr, with nothing on stdout and no file left behind."""
    (tmp_path / "bad.py").write_text("what?")
    (tmp_path / "idle.py").write_text(IDLE)
    monkeypatch.chdir(tmp_path)
    assert call("run", "--model", tiny_opt, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert all(part in err for part in parts), err
    assert {path.name for path in tmp_path.iterdir()} <= {"bad.py", "idle.py", "__pycache__"}


@pytest.mark.parametrize(
    ("code", "name", "parts"),
    [
        (TWICE, "Twice", ["mine.py:Twice", "request", "is there twice"]),
        (ERROR, "Error", ["mine.py:Error", "AttributeError", "mine.py, line 5", "nothing"]),
    ],
)
def test_a_policy_that_fails_is_one_line(
    quick_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, name: str, parts: list[str]
) -> None:
    """Policy, reason and, where it raised something, the line; no file is left."""
    policy, out = tmp_path / "mine.py", tmp_path / "out"
    policy.write_text(code)
    assert call(*quick_run, "--policy", f"{policy}:{name}", "--out", str(out)) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert all(part in last for part in parts), last
    assert list(out.iterdir()) == []


def test_what_was_done_before_a_policy_failed_is_kept(quick_run: list[str], tmp_path: Path) -> None:
    """Here after more decisions than the warm-up has: the files have the run of the policy before it."""
    (tmp_path / "late.py").write_text(LATE)
    policies = ["--policy", "aptserve", f"{tmp_path / 'late.py'}:Late"]
    assert call(*quick_run, *policies, "--out", str(tmp_path / "out")) == 2
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["policy"] for row in document["summary"]] == ["aptserve"] and not document["complete"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "attainment.png",
        "certificates-aptserve.jsonl",
        "requests.csv",
        "results.json",
        "timeline.png",
    ]


@pytest.mark.parametrize("code", [TWICE, ERROR, BASE])
def test_a_policy_that_fails_in_the_warm_up_leaves_the_others(
    quick_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    """They are served, printed and written, whatever their order; then one message."""
    (tmp_path / "mine.py").write_text(code)
    name = re.search(r"class (\w+):", code)
    assert name is not None
    mine, out = f"{tmp_path / 'mine.py'}:{name[1]}", tmp_path / "out"
    assert call(*quick_run, "--policy", mine, "fcfs", "aptserve", "--out", str(out)) == 2
    printed, err = capsys.readouterr()
    assert mine in err.splitlines()[-1] and "2 of 3 runs were served" in err and says(printed, "failed: policy")
    document = json.loads((out / "results.json").read_text())
    assert [row["policy"] for row in document["summary"]] == ["fcfs", "aptserve"] and not document["complete"]
    assert [failed["policy"] for failed in document["failed"]] == [mine]


def test_ctrl_c_ends_with_what_is_done_written(quick_run: list[str], tmp_path: Path) -> None:
    """Exit code 130, and a row for every request."""
    slow = ["--rate", "2", "--num-requests", "50", "--policy", "aptserve", "--out", str(tmp_path)]
    given = [argument for argument in quick_run if argument not in ("--rate", "200")]
    command = [sys.executable, "-m", "aptsched", *given, *slow]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert process.stderr is not None
    while not any(path.stat().st_size for path in tmp_path.glob(".certificates*")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    table, rest = process.communicate(timeout=600)
    assert process.returncode == 130 and "interrupted: 0 of 1 runs were done" in rest, (process.returncode, rest, table)
    said = re.search(r"aptserve, 2 a second: (\d+) of 50 requests had ended, (\d+) are unfinished: interrupted", table)
    assert said is not None and sum(map(int, said.groups())) == 50 and "50 of 50" not in rest
    document = json.loads((tmp_path / "results.json").read_text())
    assert not document["complete"] and document["summary"][0]["num_requests"] == 50
    assert len((tmp_path / "requests.csv").read_text().splitlines()) == 51
    assert not list(tmp_path.glob(".*"))
