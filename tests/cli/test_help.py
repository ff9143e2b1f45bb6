"""What --help teaches, and what it costs."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from aptsched import cli
from aptsched.workload import WORKLOADS
from solvers.methods import ALIASES, METHODS


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--help"])
    assert not caught.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [(), ("gap",), ("solve",), ("snapshot",), ("verify",), ("run",), ("generate",), ("calibrate",)]
)
def test_every_help_has_examples_whose_options_there_are(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line that begins with the command, against the options of that command's own help."""
    text = help_of(capsys, *command)
    examples = [shlex.split(line.split("|")[0]) for line in text.splitlines() if line.strip().startswith("aptsched ")]
    assert examples
    for example in examples:
        options = {word.partition("=")[0] for word in example if word.startswith("--")}
        known = help_of(capsys, example[1])
        assert all(f"{option} " in known for option in options), example


def test_the_help_names_every_method_and_workload(capsys: pytest.CaptureFixture[str]) -> None:
    """What is written there by hand is complete."""
    text = help_of(capsys, "gap")
    assert all(name in text for name in [*METHODS, *ALIASES, *WORKLOADS])


def test_the_help_imports_nothing_heavy() -> None:
    """Neither numpy nor rich, nor what typer checks values with."""
    heavy = ["numpy", "scipy", "ortools", "highspy", "pulp", "matplotlib", "rich", "pydantic", "torch"]
    code = (
        "import sys, json, contextlib, io\nfrom aptsched.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    main(['--help'])\n"
        f"print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
