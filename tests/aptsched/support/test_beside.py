"""What is being written stands beside its place under a name that is nobody else's, and none of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aptsched.support import beside, files

HALF = """
import sys
from aptsched.support import files
with files.growing(sys.argv[1]) as append:
    append("half")
    print("written", flush=True)
    sys.stdin.read()
"""


def half_written(directory: Path) -> subprocess.Popen[str]:
    """A process in the middle of a file."""
    command = [sys.executable, "-c", HALF, str(directory / "log.jsonl")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "written\n"
    return process


@pytest.mark.skipif(os.name != "posix", reason="processes are asked by signals")
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """What another one is writing stays, and so does what only looks like it."""
    (tmp_path / ".mine.tmp").touch()
    (tmp_path / ".log.12345678.1.tmp").touch()  # of another machine
    killed, other = half_written(tmp_path), half_written(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 4 and not (tmp_path / "log.jsonl").exists()
    files.make_directory(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 3 and f".{other.pid}." in "".join(left) and f".{killed.pid}." not in "".join(left)
    other.communicate("")
    assert (tmp_path / "log.jsonl").read_text() == "half"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".log.12345678.1.tmp", ".mine.tmp", "log.jsonl"]


def test_what_is_being_written_can_be_discarded(tmp_path: Path) -> None:
    """By a process that ends at once."""
    with beside.beside(tmp_path / "results.json") as path:
        path.write_text("half")
        beside.discard()
        assert not path.exists()


def test_names_that_are_as_long_as_can_be_are_written(tmp_path: Path) -> None:
    """The name beside the place is no longer."""
    path = tmp_path / ("n" * 255)
    files.write(path, "all")
    assert path.read_text() == "all" and len(list(tmp_path.iterdir())) == 1
