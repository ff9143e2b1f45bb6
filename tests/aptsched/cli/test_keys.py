"""Policies that ask for the keys form, from the command to the verdict on the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import call
from tiny_model import LLAMA, OPT, save_model

SIMULATED = ["simulate", "--workload", "sharegpt", "--rate", "8", "--num-requests", "60", "--num-blocks", "200"]
LIVE = ["run", "--rho", "1e-5", "--threads", "1", "--workload", "sharegpt", "--rate", "200", "--num-requests", "20"]
SMALL = ["--num-blocks", "16", "--max-prompt-tokens", "60", "--max-output-tokens", "20"]
ASKED = "aptserve:forms=kv+keys"


def check(directory: Path, printed: str) -> None:
    """Keys were used and converted to, the table has a column for them, and everything holds."""
    document = json.loads((directory / "results.json").read_text())
    (summary,) = document["summary"]
    assert summary["keys_block_s"] > 0 and 0 < summary["keys_share"] < 1 and summary["num_promotions"] > 0
    assert document["cache"]["keys_ratio"] == "9/16"
    assert "keys" in printed
    assert call("verify", str(directory)) == 0


def test_simulated_results_with_keys_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OPT-13B on a small pool; a notice says that the weights of it were not looked at."""
    assert call(*SIMULATED, "--policy", ASKED, "--out", str(tmp_path)) == 0
    read = capsys.readouterr()
    assert "The keys form is taken to be possible: it needs" in (read.out + read.err)
    check(tmp_path, read.out)


def test_live_results_with_keys_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tiny model with real tokens, whose cache is turned in place."""
    model = save_model(tmp_path / "model", OPT)
    assert call(*LIVE, *SMALL, "--model", model, "--policy", ASKED, "--out", str(tmp_path / "out")) == 0
    check(tmp_path / "out", capsys.readouterr().out)


def test_a_model_of_shared_heads_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything runs."""
    model = save_model(tmp_path / "model", LLAMA)
    assert call(*LIVE, *SMALL, "--model", model, "--policy", ASKED) == 2
    assert "wanted_forms: keys is not accepted; this server holds" in capsys.readouterr().err
