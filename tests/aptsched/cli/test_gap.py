"""`aptsched gap`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aptsched import cli
from commands import call

QUICK = ["gap", "--workload", "sharegpt", "--instances", "2"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["gap", "--load", "0.1", "0.5", "--json"], ["gap", "--load", "0.1", "--load", "0.5", "--json"]),
        (["gap", "--load=0.1", "0.5"], ["gap", "--load=0.1", "--load", "0.5"]),
        (["gap", "--load", "0.1,0.5", "--seed", "3"], ["gap", "--load", "0.1,0.5", "--seed", "3"]),
        (["gap", "--load", "0.1", "--load", "0.5"], ["gap", "--load", "0.1", "--load", "0.5"]),
        (["gap", "--methods", "a", "b", "c", "--num-requests", "5", "6"],
         ["gap", "--methods", "a", "--methods", "b", "--methods", "c", "--num-requests", "5", "--num-requests", "6"]),
        (["gap", "--seed", "3", "4"], ["gap", "--seed", "3", "4"]),
        (["snapshot", "--load", "0.1", "0.5"], ["snapshot", "--load", "0.1", "0.5"]),
        ([], []),
    ],
)  # fmt: skip
def test_several_values_may_follow_one_option(given: list[str], read: list[str]) -> None:
    """Of those that take several, and of no other."""
    assert cli.spread(given) == read


def test_the_three_ways_to_give_several_values_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Apart from what is timed."""
    ways = [
        ["--num-requests", "20", "40", "--load", "0.1", "0.5", "--methods", "greedy", "lp"],
        ["--num-requests", "20,40", "--load", "0.1,0.5", "--methods", "greedy,lp"],
        [
            "--num-requests=20",
            "--num-requests",
            "40",
            "--load",
            "0.1",
            "--load=0.5",
            "--methods=greedy",
            "--methods",
            "lp",
        ],
    ]
    found = []
    for way in ways:
        assert call(*QUICK, "--json", *way) == 0
        records = json.loads(capsys.readouterr().out)["records"]
        found.append([(r["instance"], r["method"], r["sha256"], r["form"]) for r in records])
    assert len(found[0]) == 2 * 2 * 2 * 2
    assert found[0] == found[1] == found[2]


def test_json_is_one_document_on_stdout_and_the_same_as_the_file(tmp_path: Path) -> None:
    """Whatever native solvers print; nothing on stderr, which is no terminal here."""
    command = [
        sys.executable,
        "-m",
        "aptsched",
        *QUICK,
        "--num-requests",
        "30",
        "--json",
        "--out",
        str(tmp_path / "new" / "dir"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert (tmp_path / "new" / "dir" / "results.json").read_text() == done.stdout
    assert document["schema"] == "aptsched.gap" and document["complete"] and document["contradictions"] == []
    assert {record["status"] for record in document["records"] if record["guarantee"] == "exact"} == {"optimal"}
    assert document["options"]["seed"] == 0


def test_the_table_is_readable_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the methods are called."""
    assert call(*QUICK, "--num-requests", "30", "--methods", "greedy-nofill", "mathopt-highs", "algorithm1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "guarantee" in lines[1] and "n = 30, load 0.25: 2 instances" in lines
    assert [line.split()[:2] for line in lines[4:7]] == [
        ["greedy-nofill", "1/2"],
        ["mathopt-highs", "exact"],
        ["algorithm1", "none"],
    ]


def test_a_trace_file_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here ours, with lengths alone."""
    trace = tmp_path / "trace.csv"
    trace.write_text("prompt_tokens,output_tokens\n" + "".join(f"{100 + 37 * i % 400},10\n" for i in range(50)))
    command = ["gap", "--trace", str(trace), "--num-requests", "20", "--instances", "1", "--methods", "greedy", "milp"]
    assert call(*command, "--max-tokens", "2000", "--max-seqs", "8", "--rate", "2", "--cv", "2", "--json") == 0
    (_, exact) = json.loads(capsys.readouterr().out)["records"]
    assert exact["status"] == "optimal" and exact["num_tokens"] <= 2000 and exact["num_seqs"] <= 8


@pytest.mark.skipif(not hasattr(signal, "sigwait"), reason="Windows has no signals that can be held back")
@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, as_json: bool) -> None:
    """Files, table and exit code 130; the progress on a terminal says when the first instance is done."""
    import pty

    ours, theirs = pty.openpty()
    options = [
        "--num-requests",
        "30",
        "--instances",
        "5000",
        "--methods",
        "greedy",
        "cpsat",
        "milp",
        "--out",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "aptsched", *QUICK[:3], *options, *(["--json"] if as_json else [])]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, text=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = b""
    while b"load0.25-1," not in shown:
        shown += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    table, _ = process.communicate(timeout=600)
    with contextlib.suppress(OSError):  # the end of a terminal that nobody writes to any more
        while more := os.read(ours, 65536):
            shown += more
    os.close(ours)
    assert process.returncode == 130
    document = json.loads((tmp_path / "results.json").read_text())
    num_done = len(document["instances"])
    assert 1 <= num_done < 5000 and len(document["records"]) == 3 * num_done and not document["complete"]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 1 + 3 * num_done
    assert f"interrupted: {num_done} of 5000 instances were done" in shown.decode()
    assert json.loads(table) == document if as_json else f"{num_done} instance" in table
