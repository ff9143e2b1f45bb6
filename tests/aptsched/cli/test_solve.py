"""`aptsched solve` and `aptsched snapshot`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aptsched import BatchProblem
from aptsched.problem import instance
from commands import call


@pytest.fixture
def small(tmp_path: Path) -> str:
    """By hand: hidden, hidden, KV of 6 blocks are worth 3 + 2 + 2."""
    path = tmp_path / "small.json"
    instance.save(BatchProblem.hybrid([4.0, 3.0, 2.0], [4, 4, 2], 6, 0.25, max_seqs=3), path)
    return str(path)


def test_the_answer_is_printed(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status, objective, bound, gap, use of each limit, and the requests of each form."""
    assert call("solve", small) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.replace("form ", "form_").splitlines())
    assert lines["status"] == "optimal" and lines["objective"] == lines["bound"] == "7.0 s"
    assert (lines["blocks"], lines["sequences"]) == ("6 of 6", "3 of 3")
    assert (lines["form_1"], lines["form_2"]) == ("1 request: 2", "2 requests: 0 1")
    assert "s a block" in lines["certified"]


def test_json_is_one_record(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As in results.json."""
    assert call("solve", small, "--method", "milp", "--time-limit", "10", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["status"], record["objective_s"], record["form"]) == ("optimal", 7.0, [2, 2, 1])
    assert record["sha256"] == instance.digest(instance.load(small))


def test_what_does_not_fit_is_said_with_its_overload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1: the input is good, and there is no answer."""
    path = tmp_path / "full.json"
    instance.save(BatchProblem([[1.0], [1.0]], [[3], [4]], 5, max_seqs=1, required=[True, True]), path)
    assert call("solve", str(path)) == 1
    assert "2 blocks, 0 tokens, 1 sequence," in capsys.readouterr().out
    assert call("solve", str(path), "--json") == 1
    assert json.loads(capsys.readouterr().out)["overload"] == [2, 0, 1]


def test_a_snapshot_is_the_first_instance_of_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same digest; and it can be solved, and written as MPS."""
    queue, mps = tmp_path / "queue.json", tmp_path / "queue.mps"
    source = ["--workload", "longbench", "--num-requests", "20", "--load", "0.3", "--seed", "5"]
    assert call("snapshot", *source, "--out", str(queue), "--mps", str(mps)) == 0
    digest = instance.digest(instance.load(queue))
    assert digest in capsys.readouterr().out
    assert call("gap", *source, "--instances", "1", "--methods", "greedy", "--json") == 0
    assert json.loads(capsys.readouterr().out)["records"][0]["sha256"] == digest
    assert call("solve", str(queue), "--method", "greedy", "--mps", str(tmp_path / "again.mps")) == 0
    assert (tmp_path / "again.mps").read_text() == mps.read_text()


@pytest.mark.skipif(not hasattr(signal, "sigwait"), reason="Windows has no signals that can be held back")
@pytest.mark.parametrize("method", ["core", "mathopt-highs"])
def test_one_ctrl_c_ends_a_solve(method: str) -> None:
    """At once, wherever it is: here it reads its input, which takes a minute."""
    code = (
        "import os, signal, sys, time\n"
        "from aptsched import cli\n"
        "from aptsched.problem import instance\n"
        "instance.load = lambda path: (os.kill(os.getpid(), signal.SIGINT), time.sleep(60))\n"
        "cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "solve", "queue.json", "--method", method]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Name and number, and how loops over requests run."""
    assert call("--version") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("aptsched") and printed.endswith((", compiled by numba\n", ", in plain Python\n"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("closed", [False, True])
def test_a_stdout_that_cannot_be_written_is_no_traceback(small: str, closed: bool) -> None:
    """A full disk is one line on stderr; a closed one is nothing at all."""
    command = f"'{sys.executable}' -m aptsched solve '{small}' --method greedy " + (">&-" if closed else ">/dev/full")
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    assert done.returncode == (0 if closed else 2)
    assert done.stderr.count("\n") == (0 if closed else 1) and "Traceback" not in done.stderr
