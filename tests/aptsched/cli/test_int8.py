"""Policies that ask for the int8 form, from the command to the verdict on the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import call
from tiny_model import LLAMA, OPT, save_model

SIMULATED = ["simulate", "--workload", "sharegpt", "--rate", "8", "--num-requests", "60", "--num-blocks", "200"]
LIVE = ["run", "--rho", "1e-5", "--threads", "1", "--workload", "sharegpt", "--rate", "200", "--num-requests", "20"]
SMALL = ["--num-blocks", "16", "--max-prompt-tokens", "60", "--max-output-tokens", "20"]
POLICIES = ["aptserve", "aptserve:forms=kv+int8"]


def check(directory: Path, printed: str) -> None:
    """Only the second run has int8 in its figures; the table has a column for it; and everything holds."""
    document = json.loads((directory / "results.json").read_text())
    plain, asked = document["summary"]
    assert not any("int8" in name for name in plain)
    assert asked["int8_block_s"] > 0 and 0 < asked["int8_share"] < 1 and asked["num_promotions"] > 0
    assert [len(timeline["points"][0]) for timeline in document["timelines"]] == [5, 6]
    assert "int8_ratio" in document["cache"] and "hidden_ratio" in document["cache"]
    assert "int8" in printed
    assert call("verify", str(directory)) == 0


def test_simulated_results_with_int8_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OPT-13B on a small pool: some requests are compressed."""
    assert call(*SIMULATED, "--policy", *POLICIES, "--out", str(tmp_path)) == 0
    check(tmp_path, capsys.readouterr().out)


@pytest.mark.parametrize("sizes", [OPT, LLAMA], ids=["mha", "gqa"])
def test_live_results_with_int8_verify(sizes: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tiny model with real tokens, whose cache is compressed in place."""
    model = save_model(tmp_path / "model", sizes)  # type: ignore[arg-type]
    assert call(*LIVE, *SMALL, "--model", model, "--policy", *POLICIES, "--out", str(tmp_path / "out")) == 0
    check(tmp_path / "out", capsys.readouterr().out)


def test_a_damaged_share_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It follows from the block-seconds, which a summary has where it has the share."""
    assert call(*SIMULATED, "--policy", "aptserve:forms=int8", "--out", str(tmp_path)) == 0
    path = tmp_path / "results.json"
    document = json.loads(path.read_text())
    for change, said in (("int8_share", "int8_share: 0.5, but"), ("int8_block_s", "int8_block_s: missing")):
        damaged = json.loads(json.dumps(document))
        if change == "int8_share":
            damaged["summary"][0][change] = 0.5
        else:
            del damaged["summary"][0][change]
        path.write_text(json.dumps(damaged))
        capsys.readouterr()
        assert call("verify", str(path)) == 1
        assert said in capsys.readouterr().out.replace("\n", " ")


def test_results_of_others_have_nothing_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No key, no column, no ratio."""
    assert call(*SIMULATED, "--policy", "fcfs", "aptserve", "--out", str(tmp_path)) == 0
    assert "int8" not in capsys.readouterr().out + (tmp_path / "results.json").read_text()


def test_a_form_that_is_none_leaves_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that can be refused is refused before anything is made."""
    assert call(*SIMULATED, "--policy", "aptserve:forms=INT8", "--out", str(tmp_path / "out")) == 2
    assert "forms: 'INT8' is not accepted" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
