"""Nothing on stdout is wider than 80 columns, whatever things are called and however many there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import call
from tiny_model import OPT, save_model

POLICY = "from aptsched.policies.aptserve import AptServe as AVeryLongNameForAPolicyThatIsOneOfOurOwnAllTheSame\n"
SOLVER = "from aptsched import greedy\ndef a_solver_of_our_own(problem, limit):\n    return greedy(problem)\n"
SIMULATED = ["simulate", "--workload", "humaneval", "--num-requests", "5", "--jobs", "1", "--num-blocks", "60"]
ALL = ["fcfs", "vllm-v1", "sarathi:chunk_tokens=256:watermark=0.02", "random:seed=123456789", "sjf", "fastserve"]
ALL += ["aptserve:select=core:order=fcfs:forms=hybrid:fallback=decaying:promote=off:watermark=0.05"]


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A directory whose path is longer than a line."""
    directory = tmp_path / "some where" / ("d" * 60) / ("e" * 60)
    directory.mkdir(parents=True)
    return directory


def widest(capsys: pytest.CaptureFixture[str], *command: str) -> int:
    """The longest line that a command prints; it has to end well."""
    capsys.readouterr()
    assert call(*command) == 0
    return max(map(len, capsys.readouterr().out.splitlines()))


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Rules and descriptions are broken into lines."""
    assert widest(capsys, "list") <= 80


def test_simulate_and_verify(deep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All policies with all their options, and one from a file far away, at rates of a fraction and of thousands."""
    (deep / "own.py").write_text(POLICY)
    own = f"{deep / 'own.py'}:AVeryLongNameForAPolicyThatIsOneOfOurOwnAllTheSame"
    rates = ["--rate", "0.123456789", "12345.678", "--out", str(deep / "out")]
    assert widest(capsys, *SIMULATED, *rates, "--policy", *ALL, own) <= 80
    monkeypatch.chdir(deep)
    assert call("verify", "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines if " entries hold" not in line)  # the name of a file is in one piece


def test_gap_snapshot_and_solve(deep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a solver and an instance in files far away, and a load of many digits."""
    (deep / "own.py").write_text(SOLVER)
    own, queue = f"{deep / 'own.py'}:a_solver_of_our_own", str(deep / "queue.json")
    methods = ["--methods", "greedy-nofill", "mathopt-highs", "algorithm1", own]
    options = ["--num-requests", "20", "--instances", "1", "--load", "0.123456789"]
    assert widest(capsys, "gap", "--workload", "azure-code", *options, *methods) <= 80
    assert widest(capsys, "snapshot", "--workload", "longbench", "--num-requests", "200", "--out", queue) <= 80
    assert widest(capsys, "solve", queue, "--method", own) <= 80


def test_calibrate_and_run(deep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a model in a directory far away."""
    model = save_model(deep / "opt", OPT)
    assert widest(capsys, "calibrate", "--model", model, "--threads", "1") <= 80
    options = ["--rho", "0", "--threads", "1", "--rate", "300", "--num-requests", "4", "--num-blocks", "30"]
    clip = ["--max-prompt-tokens", "20", "--max-output-tokens", "4"]
    policies = ["--policy", "fastserve:quantum_s=0.001:num_levels=8:starvation_s=1.5", "aptserve:select=core:forms=kv"]
    assert widest(capsys, "run", "--model", model, "--workload", "sharegpt", *options, *clip, *policies) <= 80
