"""`aptsched run`, on a tiny model and in real time."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aptsched.scheduling.iteration_time import IterationTime
from commands import call, says
from engine.calibration import measure
from engine.calibration.measure import Calibration, Point
from tiny_model import OPT, save_model

FILES = ["attainment.png", "requests.csv", "results.json", "timeline.png"]
QUICK = ["--rho", "1e-5", "--threads", "1", "--num-requests", "12", "--rate", "200", "--num-blocks", "30"]
CLIPPED = ["--max-prompt-tokens", "60", "--max-output-tokens", "20"]
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_model(tmp_path_factory.mktemp("models") / "opt", OPT)


@pytest.fixture(scope="module")
def base(model: str) -> list[str]:
    """A command on a small pool that takes about a second."""
    return ["run", "--model", model, "--workload", "sharegpt", *QUICK, *CLIPPED]


def test_a_table_and_files_of_what_each_policy_comes_to(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both policies finish the same requests; every certificate holds."""
    assert call(*base, "--out", str(tmp_path / "out")) == 0
    out, err = capsys.readouterr()
    rows = [line.split()[0] for line in out.splitlines() if line.startswith(("fcfs ", "aptserve "))]
    assert rows == ["fcfs", "aptserve"] * 2 and max(map(len, out.splitlines())) <= 80
    assert re.search(r"Of 12 requests 1\d were clipped", out) and "fcfs: 12 requests, which arrive over" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(["certificates-aptserve.jsonl", *FILES])
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (document["schema"], document["version"], document["complete"]) == ("aptsched.run", 2, True)
    assert [row["num_finished"] for row in document["summary"]] == [12, 12]
    assert document["times"]["rho_s_per_block"] == 1e-5 and document["cache"]["hidden_ratio"] == "1/2"
    with (tmp_path / "out" / "requests.csv").open() as file:
        lengths = [(row["request_id"], row["num_prompt_tokens"], row["num_tokens"]) for row in csv.DictReader(file)]
    assert len(lengths) == 24 and lengths[:12] == lengths[12:]
    assert call("verify", str(tmp_path / "out")) == 0
    assert "certificates-aptserve.jsonl" in capsys.readouterr().out


def test_requests_are_swapped_on_a_real_model(base: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On a pool for two of them, with as much on the host as in the pool unless it is said."""
    small = ["--policy", "fastserve:quantum_s=1e-6", "--num-blocks", "8", "--json"]
    summaries = []
    for more in ([], ["--swap-space", "0"]):
        assert call(*base, *small, *more) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["cache"]["num_host_blocks"] == (0 if more else 8)
        summaries += document["summary"]
    assert [summary["num_finished"] for summary in summaries] == [12, 12]
    assert summaries[0]["num_swapped_blocks"] > 0 == summaries[1]["num_swapped_blocks"]


def test_several_rates_say_which_one_each_policy_holds(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table a rate, a log of decisions for each, and the highest rate that holds; --json is the file."""
    arguments = [
        *base,
        "--policy",
        "aptserve:select=core",
        "--rate",
        "300,100",
        "--slo-ttft",
        "100",
        "--slo-tbt",
        "100",
    ]
    assert call(*arguments, "--out", str(tmp_path), "--json") == 0
    out = capsys.readouterr().out
    document = json.loads(out)
    assert (tmp_path / "results.json").read_text() == out
    assert [row["rate_per_s"] for row in document["summary"]] == [100, 200, 300]
    (holds,) = document["holds"]
    assert holds["highest_rate_per_s"] == {"0.6": 300, "0.9": 300} and holds["attained"] == [1, 1, 1]
    logs = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert logs == [f"certificates-aptserve-select-core-rate{rate}.jsonl" for rate in (100, 200, 300)]


def test_a_calibration_comes_first_and_is_written_beside_the_results(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It can be given again; --rho has its own way."""
    options = ["run", "--model", model, "--workload", "humaneval", "--policy", "fcfs", *QUICK[2:], *CLIPPED]
    assert call(*options, "--out", str(tmp_path)) == 0
    written = json.loads((tmp_path / "calibration.json").read_text())["times"]
    assert json.loads((tmp_path / "results.json").read_text())["times"].items() >= written.items()
    capsys.readouterr()
    given = ["--calibration", str(tmp_path / "calibration.json"), "--rho", "0.5", "--json"]
    assert call(*options, *given) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["times"].items() >= {**written, "rho_s_per_block": 0.5}.items()
    assert "calibrating" not in err


def test_a_prompt_that_is_too_long_is_rejected_with_the_numbers(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others go on."""
    trace = tmp_path / "trace.csv"
    trace.write_text("prompt_tokens,output_tokens\n10,4\n300,4\n12,4\n")
    options = ["--policy", "fcfs", "--rho", "0", "--threads", "1", "--rate", "100", "--num-blocks", "40"]
    assert call("run", "--model", model, "--trace", str(trace), *options) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "fcfs: 1 rejected, first request 1: num_prompt_tokens: 300 is not accepted; 1 to 255 are" in out
    assert "3 requests, 100 a second" in out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["trace, workload", "neither"]),
        (["--workload", "chat"], ["workload", "'chat'", "sharegpt"]),
        (["--trace", "missing.csv"], ["missing.csv", "No such file"]),
        (["--policy", "lifo"], ["policy", "'lifo'", "fcfs, ", "aptserve are"]),
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
        (["--workload", "sharegpt", "--slo-tbt", "nan"], ["tbt", "nan"]),
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
    model: str,
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
    assert call("run", "--model", model, *arguments) == 2
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
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, name: str, parts: list[str]
) -> None:
    """Policy, reason and, where it raised something, the line; no file is left."""
    policy, out = tmp_path / "mine.py", tmp_path / "out"
    policy.write_text(code)
    assert call(*base, "--policy", f"{policy}:{name}", "--out", str(out)) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert all(part in last for part in parts), last
    assert list(out.iterdir()) == []


def test_what_was_done_before_a_policy_failed_is_kept(base: list[str], tmp_path: Path) -> None:
    """Here after more decisions than the warm-up has: the files have the run of the policy before it."""
    (tmp_path / "late.py").write_text(LATE)
    policies = ["--policy", "aptserve", f"{tmp_path / 'late.py'}:Late"]
    assert call(*base, *policies, "--out", str(tmp_path / "out")) == 2
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["policy"] for row in document["summary"]] == ["aptserve"] and not document["complete"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(["certificates-aptserve.jsonl", *FILES])


@pytest.mark.parametrize("code", [TWICE, ERROR, BASE])
def test_a_policy_that_fails_in_the_warm_up_leaves_the_others(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    """They are served, printed and written, whatever their order; then one message."""
    (tmp_path / "mine.py").write_text(code)
    name = re.search(r"class (\w+):", code)
    assert name is not None
    mine, out = f"{tmp_path / 'mine.py'}:{name[1]}", tmp_path / "out"
    assert call(*base, "--policy", mine, "fcfs", "aptserve", "--out", str(out)) == 2
    printed, err = capsys.readouterr()
    assert mine in err.splitlines()[-1] and "2 of 3 runs were served" in err and says(printed, "failed: policy")
    document = json.loads((out / "results.json").read_text())
    assert [row["policy"] for row in document["summary"]] == ["fcfs", "aptserve"] and not document["complete"]
    assert [failed["policy"] for failed in document["failed"]] == [mine]


def test_a_calibration_of_another_model_is_refused_or_said(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And iterations are not held against it."""
    times, points = IterationTime(0.01), (Point(16, 0, 0, 0.1), Point(1, 64, 0, 0.1))
    measure.save(Calibration("opt-13b", "cpu", "fp32", times, None, points), tmp_path / "other.json")
    given = [*base, "--policy", "fcfs", "--json", "--calibration", str(tmp_path / "other.json")]
    assert call(*given) == 2
    assert "calibration: a calibration of opt-13b in fp32 on cpu is not accepted" in capsys.readouterr().err
    assert call(*given, "--foreign-calibration") == 0
    document = json.loads(capsys.readouterr().out)
    assert any(notice.startswith("The calibration is of opt-13b") for notice in document["notices"])
    assert document["summary"][0]["pace"] is None and document["options"]["foreign_calibration"]
    assert call(*base, "--policy", "fcfs", "--foreign-calibration") == 2
    assert "foreign_calibration: it is given without a calibration" in capsys.readouterr().err


def test_ctrl_c_ends_with_what_is_done_written(base: list[str], tmp_path: Path) -> None:
    """Exit code 130, and a row for every request."""
    slow = ["--rate", "2", "--num-requests", "50", "--policy", "aptserve", "--out", str(tmp_path)]
    given = [argument for argument in base if argument not in ("--rate", "200")]
    command = [sys.executable, "-m", "aptsched", *given, *slow]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert process.stderr is not None
    while not any(path.stat().st_size for path in tmp_path.glob(".certificates*")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    table, rest = process.communicate(timeout=120)
    assert process.returncode == 130 and "interrupted: 0 of 1 runs were done" in rest, (process.returncode, rest, table)
    said = re.search(r"aptserve, 2 a second: (\d+) of 50 requests had ended, (\d+) are unfinished: interrupted", table)
    assert said is not None and sum(map(int, said.groups())) == 50 and "50 of 50" not in rest
    document = json.loads((tmp_path / "results.json").read_text())
    assert not document["complete"] and document["summary"][0]["num_requests"] == 50
    assert len((tmp_path / "requests.csv").read_text().splitlines()) == 51
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_smollm2_serves_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its MHA twin has a hidden form, and on a small pool it is used."""
    options = ["--expand-kv-heads", "--num-requests", "8", "--rate", "50", "--num-blocks", "24", "--rho", "0"]
    clip = ["--max-prompt-tokens", "64", "--max-output-tokens", "8"]
    assert call("run", "--workload", "sharegpt", *options, *clip, "--json") == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert [row["num_finished"] for row in summary] == [8, 8]
    assert summary[1]["hidden_block_s"] > 0 and summary[1]["gap_worst"] is not None


def test_a_run_that_is_not_as_fast_as_calibrated_says_so(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In table and results: a calibration of a machine a thousand times as fast, taken for this one's."""
    measured = tmp_path / "calibration.json"
    assert call("calibrate", "--model", model, "--threads", "1", "--out", str(tmp_path)) == 0
    document = json.loads(measured.read_text())
    document["times"] = {name: value / 1000 for name, value in document["times"].items()}
    measured.write_text(json.dumps(document))
    capsys.readouterr()
    options = ["run", "--model", model, "--workload", "humaneval", "--policy", "fcfs", *QUICK[2:], *CLIPPED]
    assert call(*options, "--calibration", str(measured), "--out", str(tmp_path / "out")) == 0
    assert re.search(r"fcfs, 200 a second: iterations took \d+\S* times what the calibration", capsys.readouterr().out)
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["summary"][0]["pace"] > 1.5 and any("calibration" in line for line in written["notices"])
