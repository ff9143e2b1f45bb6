"""The policy of one's own that the README shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aptsched import cli
from tiny_model import OPT, save_model

EXAMPLE = Path(__file__).parents[3] / "examples" / "own_policy.py"


def test_the_policy_of_the_examples_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In at most 30 lines; on a small pool it serves every request that FCFS serves."""
    assert EXAMPLE.read_text().count("\n") <= 30
    model = save_model(tmp_path / "opt", OPT)
    options = ["--rho", "0", "--threads", "1", "--num-blocks", "14", "--rate", "500", "--num-requests", "20"]
    clip = ["--max-prompt-tokens", "100", "--max-output-tokens", "30"]
    policies = ["--policy", "fcfs", f"{EXAMPLE}:Shortest"]
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", "--model", model, "--workload", "sharegpt", *options, *clip, *policies, "--json"])
    assert not caught.value.code
    first, own = json.loads(capsys.readouterr().out)["summary"]
    assert first["num_finished"] == own["num_finished"] == 20
    assert own["num_preemptions"] > 0
