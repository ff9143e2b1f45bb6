"""Results that cannot be written after the work is done: tables and JSON are printed all the same, the error last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aptsched.support import files
from aptsched.support.errors import InputError
from commands import call
from tiny_model import LLAMA, save_model

SOURCE = ["--workload", "sharegpt", "--num-requests", "4"]
ON_MODEL = ["--model", "model", "--threads", "1"]
COMMANDS = {
    "calibrate": ON_MODEL,
    "gap": [*SOURCE, "--instances", "2", "--methods", "greedy"],
    "run": [*ON_MODEL, *SOURCE, "--rho", "0", "--rate", "1000", "--policy", "fcfs", "--max-output-tokens", "2"],
    "simulate": [*SOURCE, "--policy", "fcfs,aptserve", "--jobs", "1"],
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_model(tmp_path / "model", LLAMA)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", sorted(COMMANDS))
@pytest.mark.parametrize("as_json", [False, True])
def test_a_directory_that_fails_after_the_work_loses_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, as_json: bool
) -> None:
    """A full disk, or a directory that has gone: the table is printed, then one line, with exit code 2."""

    def full(path: str | os.PathLike[str], content: str | bytes) -> None:
        raise InputError(f"{path}: cannot be written (No space left on device); a path to a new file is accepted")

    monkeypatch.setattr(files, "write", full)
    assert call(command, *COMMANDS[command], "--out", "study", *(["--json"] if as_json else [])) == 2
    out, err = capsys.readouterr()
    (message,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "No space left on device" in message and err.endswith(f"{message}\n")
    assert json.loads(out) if as_json else len(out.splitlines()) >= 3


FULL = """
import resource, sys
from aptsched import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
cli.main(sys.argv[2:])
"""


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
@pytest.mark.parametrize("most_bytes", [0, 3000, 20_000])
def test_a_disk_that_becomes_full_within_a_run_loses_no_run(place: Path, most_bytes: int) -> None:
    """The log of the decisions ends early and is gone, the runs go on, and all of them are in the table."""
    arguments = ["simulate", "--workload", "sharegpt", "--num-requests", "60", "--rate", "8", "--jobs", "1"]
    command = [sys.executable, "-c", FULL, str(most_bytes), *arguments, "--policy", "fcfs,aptserve", "--out", "study"]
    done = subprocess.run(command, capture_output=True, text=True)
    message = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and message.startswith("error: ") and "File too large" in message
    assert "fcfs" in done.stdout and "aptserve" in done.stdout and "Traceback" not in done.stderr
    assert not [path.name for path in (place / "study").iterdir() if path.suffix in (".jsonl", ".tmp")]
