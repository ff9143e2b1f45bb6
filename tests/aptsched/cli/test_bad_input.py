"""Bad input ends with one line on stderr and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aptsched import cli

GAP = ["gap", "--workload", "sharegpt"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["gap"], ["trace, workload", "neither"]),
        ([*GAP, "--trace", "a.csv"], ["trace, workload", "both"]),
        (["gap", "--workload", "chat"], ["workload", "'chat'", "sharegpt", "azure-code"]),
        (["gap", "--trace", "missing.csv"], ["missing.csv", "No such file"]),
        (["gap", "--trace", "bad.csv"], ["bad.csv", "line 3", "prompt_tokens", "x"]),
        ([*GAP, "--methods", "greedy", "cplex"], ["method", "'cplex'", "cpsat"]),
        ([*GAP, "--methods", ""], ["methods", "at least one"]),
        ([*GAP, "--num-requests", "50", "many"], ["num_requests", "'many'", "whole numbers"]),
        ([*GAP, "--num-requests", "1_0"], ["num_requests: '1_0' is not accepted; whole numbers are"]),
        ([*GAP, "--instances", "1_0"], ["instances: '1_0' is not accepted; a whole number is"]),
        ([*GAP, "--time-limit", "\u0663"], ["time_limit: '\u0663' is not accepted; a number is"]),
        ([*GAP, "--hidden-ratio", "1_0/20"], ["hidden_ratio: '1_0/20' is not accepted"]),
        ([*GAP, "--num-requests", "0"], ["num_requests", "0"]),
        ([*GAP, "--num-requests", "-5"], ["num_requests", "-5"]),
        ([*GAP, "--num-requests", ","], ["num_requests", "at least one"]),
        ([*GAP, "--num-requests", "1.5"], ["num_requests", "'1.5'"]),
        ([*GAP, "--load", "half"], ["load", "'half'"]),
        ([*GAP, "--load", "0.5", "nan"], ["load", "nan"]),
        ([*GAP, "--load", "-1"], ["load", "-1"]),
        ([*GAP, "--instances", "0"], ["instances", "0"]),
        ([*GAP, "--time-limit", "0"], ["time_limit", "0"]),
        ([*GAP, "--time-limit", "nan"], ["time_limit", "nan"]),
        ([*GAP, "--seed", "-1"], ["seed", "-1"]),
        ([*GAP, "--max-tokens", "-1"], ["max_tokens", "-1"]),
        ([*GAP, "--max-seqs", "-1"], ["max_seqs", "-1"]),
        ([*GAP, "--block-size", "0"], ["block_size", "0"]),
        ([*GAP, "--rho", "nan"], ["rho", "nan"]),
        ([*GAP, "--hidden-ratio", "0/0"], ["hidden_ratio", "'0/0'"]),
        ([*GAP, "--rate", "0"], ["rate", "0"]),
        ([*GAP, "--cv", "-1"], ["cv", "-1"]),
        ([*GAP, "--out", "file"], ["file", "directory"]),
        ([*GAP, "--out", "file/below"], ["file/below", "directory"]),
        ([*GAP, "--methods", "algorithm1", "--max-seqs", "3"], ["max_seqs", "Algorithm 1"]),
        ([*GAP, "--time-limit", "inf"], ["time_limit", "inf"]),
        ([*GAP, "--num-requests", "1000001"], ["num_requests", "1000000"]),
        ([*GAP, "--instances", "100001"], ["instances", "100000"]),
        ([*GAP, "--hidden-ratio", "1e9999999"], ["hidden_ratio", "1e9999999"]),
        ([*GAP, "--hidden-ratio", "1e5000"], ["hidden_ratio", "2**32"]),
        ([*GAP, "--out", ""], ["out", "empty"]),
        (["snapshot", "--workload", "sharegpt", "--out", ""], ["cannot be written"]),
        (["snapshot", "--workload", "sharegpt", "--out", "/"], ["cannot be written"]),
        (["snapshot", "--workload", "sharegpt", "--out", "x", "--mps", "./x"], ["mps", "'./x'"]),
        (["solve", "missing.json", "--mps", "missing.json"], ["mps", "missing.json"]),
        (["solve", "missing.json"], ["missing.json", "No such file"]),
        (["solve", "bad.csv"], ["bad.csv", "line 1, column 1", "JSON"]),
        (["solve", "missing.json", "--method", "cplex"], ["method", "'cplex'"]),
        (["solve", "missing.json", "--time-limit", "-1"], ["time_limit", "-1"]),
        (["snapshot", "--workload", "sharegpt", "--out", "missing/queue.json"], ["missing/queue.json", "written"]),
        (["verify", "missing"], ["missing", "No such file"]),
        (["simulate", "--policy", "fcfs", "\udcff.py:P", "--workload", "sharegpt"], ["policy", "udcff.py:P", "UTF-8"]),
        ([*GAP, "--methods", "\udcff.py:solve"], ["methods", "udcff.py:solve", "UTF-8"]),
        (["verify", "."], [".", "no results", "aptsched.gap", "aptsched.certificates"]),
        (["verify", "/dev/null"], ["/dev/null", "device"]),
        (["snapshot", "--workload", "sharegpt", "--load", "0", "--out", "queue.json"], ["load", "0"]),
    ],
)
def test_one_line_names_field_value_and_what_is_accepted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    parts: list[str],
) -> None:
    """On stderr, with nothing on stdout and no file left behind."""
    (tmp_path / "bad.csv").write_text("prompt_tokens,output_tokens\n3,4\nx,4\n")
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert all(part in err for part in parts), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "file"]


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["gap", "--nothing"], [*GAP, "--instances", "x"], ["solve"], ["snapshot"], [*GAP, "50", "200"]],
)
def test_options_that_there_are_not_end_with_2_too(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Said by the parser of the command line."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_there_is_no_traceback() -> None:
    """In a process of its own."""
    command = [sys.executable, "-m", "aptsched", "gap", "--workload", "chat"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: workload: 'chat'") and done.stderr.count("\n") == 1


def test_without_typer_one_line_says_what_to_install() -> None:
    """The commands are an extra."""
    code = "import sys; sys.modules['typer'] = None; sys.argv = ['aptsched']; from aptsched.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert "pip install 'aptsched[report]'" in done.stderr and done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    """As with `| head`: no traceback."""
    command = [
        sys.executable,
        "-m",
        "aptsched",
        *GAP,
        "--num-requests",
        "20",
        "--instances",
        "1",
        "--methods",
        "greedy",
    ]
    process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=600)
