"""Stdout, stderr and stdin that are closed, full, gone or of few letters: in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aptsched import BatchProblem
from aptsched.problem import instance

POSIX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="streams and devices as Linux has them")
SMALL = BatchProblem([[3.0, 2.5], [2.0, 1.75]], [[6, 3], [4, 2]], 7)
COMMANDS = ["list", "solve queue.json --method greedy", "--help", "gap --help", "--version"]
ASCII = [
    {"PYTHONIOENCODING": "ascii:strict"},
    {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]

pytestmark = POSIX


def shell(directory: Path, command: str, **environment: str) -> tuple[int, str, str]:
    """What `aptsched COMMAND` comes to in a shell, with what stands after it."""
    line = f"'{sys.executable}' -m aptsched {command}"
    root = str(Path(__file__).parents[3])
    settings = {**os.environ, "PYTHONPATH": root, **environment}
    done = subprocess.run(["sh", "-c", line], cwd=directory, env=settings, capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    instance.save(SMALL, tmp_path / "queue.json")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_stdout_is_one_line(place: Path, command: str) -> None:
    """And exit code 2, for 1 would say that something was found."""
    code, _, err = shell(place, f"{command} > /dev/full")
    assert (code, err) == (2, "error: stdout: cannot be written (No space left on device)\n")


@pytest.mark.parametrize("streams", [">&-", "2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_takes_everything(place: Path, streams: str) -> None:
    """Also where files are opened under the numbers of all three; a full stderr changes no exit code."""
    for command, expected in (("solve queue.json --method greedy --mps out.mps", 0), ("solve missing", 2)):
        code, _, err = shell(place, f"{command} {streams}")
        assert code == expected and "Traceback" not in err
    assert (place / "out.mps").read_text().endswith("ENDATA\n")


def test_a_closed_stdin_is_no_prompt(place: Path) -> None:
    """One message, before a model is loaded."""
    code, _, err = shell(place, "generate --prompt - <&-")
    assert code == 2 and err.startswith("error: prompt: ") and err.count("\n") == 1


@pytest.mark.parametrize("environment", ASCII)
def test_names_of_any_letters_are_shown_in_ascii(place: Path, environment: dict[str, str]) -> None:
    """Files of names beyond ASCII, and beyond UTF-8, are written and read; what is said of them is ASCII."""
    for name in ("\u00e9t\u00e9.json", os.fsdecode(b"caf\xc3.json")):
        source = f"snapshot --workload sharegpt --num-requests 3 --out '{name}'"
        for command in (source, f"solve '{name}' --method greedy", f"solve 'not-{name}'", f"verify '{name}'"):
            code, out, err = shell(place, command, **environment)
            assert code in (0, 2) and out.isascii() and err.isascii() and "Traceback" not in err, err
            assert code == (2 if "not-" in command else 0)
        assert (place / name).exists()


def test_control_characters_of_names_are_shown_escaped(place: Path) -> None:
    """On stdout and stderr alike: no name clears a terminal."""
    name = "\x1b[2J\x07\u202e.json"
    for command in (f"snapshot --workload sharegpt --num-requests 3 --out '{name}'", f"solve 'not-{name}'"):
        _, out, err = shell(place, command)
        assert (out + err).replace("\n", "").isprintable(), (out, err)
