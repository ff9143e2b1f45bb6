"""`aptsched simulate` and `capacity` with several costs, bytes of numbers and GPUs of one's own, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aptsched.cli import main

SMALL = ("simulate", "--workload", "humaneval", "--num-requests", "8", "--policy", "fcfs", "--jobs", "1")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_each_of_several_costs_has_the_files_that_it_has_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In a folder of its own, byte for byte; and tables of its own."""
    code, out, _ = run(capsys, *SMALL, "--cost", "fits", "roofline", "--out", str(tmp_path / "both"))
    assert code == 0 and "by fits of DistServe" in out and "by roofline of opt-13b" in out
    for cost in ("fits", "roofline"):
        assert run(capsys, *SMALL, "--cost", cost, "--out", str(tmp_path / cost))[0] == 0
        alone, one_of_two = tmp_path / cost, tmp_path / "both" / cost
        names = {path.name for path in alone.iterdir()}
        assert names == {path.name for path in one_of_two.iterdir()}
        assert all((alone / name).read_bytes() == (one_of_two / name).read_bytes() for name in names)
    assert run(capsys, "verify", str(tmp_path / "both"))[0] == 0


SEARCH = ("capacity", *SMALL[1:], "--setting", "paper", "--seeds", "1", "--num-blocks", "100")


@pytest.mark.parametrize("command", [SMALL, SEARCH])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cost", "fits,roofline", "--json"), "json: it is not accepted with several costs"),
        (("--cost", "fits,fits"), "cost: 'fits' is given twice"),
        (("--cost", "roofline,guess"), "cost: 'guess' is not known"),
        (("--cost", "guess,roofline"), "cost: 'guess' is not known"),
        (("--cost", "roofline,fits", "--gpu", "h100"), "cost: no fits are published for opt-13b on 1 x h100"),
        (("--weight-bytes", "3"), "weight_bytes: 3.0 is not accepted; 4, 2, 1 or 0.5 is"),
    ],
)
def test_what_is_refused_before_anything_is_served(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: tuple[str, ...],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """One line, exit code 2, no table and no file."""
    code, out, err = run(capsys, *command, *arguments, "--out", str(tmp_path / "none"))
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err
    assert not (tmp_path / "none").exists()


def test_a_search_under_each_of_several_costs_is_the_one_it_is_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In a folder of its own, under both pairs of objectives."""
    few = (*SEARCH, "--level", "0.9", "--slo", "0.5/0.2", "1/1")
    assert run(capsys, *few, "--cost", "fits", "roofline", "--out", str(tmp_path))[0] == 0
    for cost in ("fits", "roofline"):
        code, out, _ = run(capsys, *few, "--cost", cost, "--json")
        document = json.loads(out)
        assert code == 0 and [row["slo"] for row in document["capacities"]] == ["0.5/0.2", "1/1"]
        assert json.loads((tmp_path / cost / "capacity.json").read_text(encoding="utf-8")) == document


def test_bytes_and_a_rented_gpu_are_in_the_results(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """OPT-13B in 8 bits has no hidden form; the price and the shares of the peaks are those of the file."""
    (tmp_path / "rented.toml").write_text('base = "h100"\nprice_per_hour = 2.5\n[efficiency]\ncompute = 0.7\n')
    gpu = ("--gpu", str(tmp_path / "rented.toml"), "--weight-bytes", "1", "--kv-bytes", "1")
    code, out, _ = run(capsys, *SMALL, *gpu, "--json")
    found = json.loads(out)
    assert (code, found["precision"]) == (0, {"weight_bytes": 1.0, "kv_bytes": 1.0})
    assert (found["gpu"]["name"], found["gpu"]["price_per_hour"], found["gpu"]["fp8_flops_per_s"]) == (
        *("rented", 2.5, 1.979e15),
    )
    assert found["gpu"]["efficiency"]["compute"] == 0.7 and found["cache"]["hidden_ratio"] == "1"
    assert found["cost"]["source"].endswith("weights of 1 and K and V of 1 bytes a number")
