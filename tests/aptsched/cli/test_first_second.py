"""Ctrl-C in the first second, while modules are imported: one line, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SLOW = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
DROPPED = """
import os, signal, sys
class Dropping:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10): pass
Dropping()
raise ValueError("what a native module makes of it")
"""
COMMANDS = {
    "calibrate": [],
    "gap": ["--workload", "sharegpt"],
    "generate": ["--prompt", "Hi"],
    "list": [],
    "run": ["--workload", "sharegpt"],
    "simulate": ["--workload", "sharegpt"],
    "snapshot": ["--workload", "sharegpt", "--out", "queue.json"],
    "solve": ["queue.json"],
    "verify": ["study"],
}

pytestmark = pytest.mark.skipif(not hasattr(signal, "sigwait"), reason="Windows has no signals that can be held back")


def begun(directory: Path, module: str, body: str, *arguments: str) -> tuple[int, str, str]:
    """What becomes of a command where a module of that name is found first."""
    (directory / f"{module}.py").write_text(body)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(directory), str(ROOT)])}
    code = (  # as in the background of a shell a process may be begun with the signal ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from aptsched.__main__ import main; main()"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=directory)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("body", [SLOW, DROPPED])
def test_while_the_parser_is_imported(tmp_path: Path, body: str) -> None:
    """Also where the importer drops the exception, or a native module makes another of it."""
    assert begun(tmp_path, "typer", body, "list") == (130, "", "interrupted\n")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_while_numpy_is_imported(tmp_path: Path, command: str) -> None:
    """By each command, also those that hold Ctrl-C back later."""
    (tmp_path / "study").mkdir()
    (tmp_path / "queue.json").write_text("{}")
    (tmp_path / "smollm2").mkdir()
    assert begun(tmp_path, "numpy", SLOW, command, *COMMANDS[command]) == (130, "", "interrupted\n")


def test_what_is_to_be_kept_is_kept(tmp_path: Path) -> None:
    """Once requests were served, Ctrl-C within an import is KeyboardInterrupt."""
    (tmp_path / "late.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from aptsched.support import interrupts, start\n"
        "start.guard()\n"
        "with interrupts.held(): pass\n"
        "try: import late\n"
        "except KeyboardInterrupt: print('kept')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "kept\n", "")
