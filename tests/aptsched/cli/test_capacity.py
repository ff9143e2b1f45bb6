"""`aptsched capacity`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import call, says

SMALL = ("capacity", "--num-blocks", "12", "--duration", "8", "--warmup", "2", "--num-requests", "12", "--jobs", "1")
FEW = ("--seeds", "1", "--level", "0.9", "--slo", "0.5/0.2")


@pytest.fixture
def lengths(tmp_path: Path) -> str:
    """A file of lengths."""
    rows = "".join(f"{10 + 7 * i % 50},{5 + 3 * i % 17}\n" for i in range(40))
    (tmp_path / "lengths.csv").write_text(f"prompt_tokens,output_tokens\n{rows}", encoding="utf-8")
    return str(tmp_path / "lengths.csv")


def test_json_has_a_rate_for_each_policy_setting_and_level(lengths: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Policies and levels as `--policy a,b` or `--policy a b`; nothing else is printed on stdout."""
    options = ("--trace", lengths, "--policy", "fcfs,sarathi", "aptserve:forms=kv", *FEW, "--level", "0.6", "--json")
    assert call(*SMALL, *options) == 0
    document = json.loads(capsys.readouterr().out)
    found = [(row["setting"], row["level"], row["policy"]) for row in document["capacities"]]
    policies = ("fcfs", "sarathi", "aptserve:forms=kv")
    assert found == [(s, level, name) for s in ("sustained", "paper") for level in (0.9, 0.6) for name in policies]
    for row in document["capacities"]:
        assert {"rate_per_s", "low", "high", "stable", "bound_per_s"} < row.keys()
        assert row["rate_per_s"] > 0 and row["low"] is row["high"] is None  # one seed has no interval


def test_tables_files_and_replicas(lengths: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a price of its own the GPU's cost is said."""
    gpu = tmp_path / "priced.toml"
    gpu.write_text('base = "a100-40gb"\nprice_per_hour = 3.6\n', encoding="utf-8")
    out = tmp_path / "found"
    options = ("--setting", "sustained", "--gpu", str(gpu), "--gpus-for", "40", "--out", str(out))
    assert call(*SMALL, "--trace", lengths, "--policy", "fcfs", *FEW, *options) == 0
    printed = capsys.readouterr().out
    assert says(printed, "cost per 1M tokens") and says(printed, "40 requests a second")
    document = json.loads((out / "capacity.json").read_text(encoding="utf-8"))
    (row,) = document["replicas"]
    rate, tokens = document["capacities"][0]["rate_per_s"], document["capacities"][0]["tokens_per_request"]
    assert row["num_replicas"] == -(-40 // rate)
    cost = row["num_gpus"] * 3.6 / 3600 / (40 * tokens) * 1e6
    assert row["cost_per_million_tokens"] == pytest.approx(cost)
    assert (out / "capacity.png").exists() and len(list((out / "probes").iterdir())) == len(document["probes"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--slo", "fast"), "error: slo: 'fast' is not"),
        (("--setting", "long"), "error: setting: 'long' is not accepted; sustained, paper are"),
        (("--level", "0"), "error: level: 0.0 is not accepted"),
        (("--seeds", "0"), "error: seeds: 0 is not accepted"),
        (("--policy", "best"), "error: policy: "),
    ],
)
def test_bad_input_is_one_line(
    lengths: str, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    """With exit code 2, before anything is run."""
    assert call(*SMALL, "--trace", lengths, *options) == 2
    said = capsys.readouterr().err
    assert says(said, message) and said.count("\n") == 1


def test_the_results_of_another_study_are_not_written_over(
    lengths: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says whose they are; with other levels and policies the study's own directory goes on."""
    few = (*SMALL, "--setting", "paper", *FEW, "--out", str(tmp_path / "found"))
    assert call(*few, "--trace", lengths, "--policy", "fcfs") == 0
    assert call(*few, "--trace", lengths, "--policy", "fcfs,sarathi", "--level", "0.8", "--gpus-for", "3") == 0
    before = (tmp_path / "found" / "capacity.json").read_bytes()
    capsys.readouterr()
    assert call(*few, "--workload", "humaneval", "--policy", "fcfs") == 2
    assert call(*few, "--trace", lengths, "--policy", "fcfs", "--tp", "2") == 2
    other, gpus = capsys.readouterr().err.splitlines()
    assert 'found has capacity.json, of another study: its workload is null, not "humaneval"; ' in other
    assert "its tp is 1, not 2; a new directory, or the study's own, is accepted" in gpus
    assert (tmp_path / "found" / "capacity.json").read_bytes() == before
    (tmp_path / "found" / "capacity.json").rename(tmp_path / "found" / "results.json")
    assert call(*few, "--trace", lengths, "--policy", "fcfs") == 2
    assert says(capsys.readouterr().err, "found has results.json, of another study; ")


def test_a_short_trace_with_times_is_searched_from_a_rate_that_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--rate`, though at one request a second all its requests would arrive in the warm-up."""
    rows = "".join(f"{at / 5},{20 + 7 * at % 90},{5 + 3 * at % 17}\n" for at in range(40))
    (tmp_path / "short.csv").write_text(f"arrived_at_s,prompt_tokens,output_tokens\n{rows}", encoding="utf-8")
    for more in ((), ("--seeds", "3")):
        options = ("--trace", str(tmp_path / "short.csv"), "--policy", "fcfs", "--setting", "sustained", *more)
        assert call("capacity", "--jobs", "1", "--level", "0.9", *options, "--json") == 0
        (row,) = json.loads(capsys.readouterr().out)["capacities"]
        assert row["at_least"] and 0 < row["rate_per_s"] <= 20 / 60
