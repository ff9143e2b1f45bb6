"""What --help teaches, and what it costs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from aptsched import cli
from aptsched.cli.base import COMMANDS
from aptsched.cli.policies import SELECT
from aptsched.knapsack.greedy import greedy
from aptsched.policies.catalogue import Entry, catalogue
from aptsched.policies.named import CLASSES, load_policy
from aptsched.policies.oracle import TrueLengths
from aptsched.workload import WORKLOADS
from solvers.methods import ALIASES, METHODS


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--help"])
    assert not caught.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
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


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_a_command_in_the_documents_has_options_that_there_are(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of a block, continued or not, and each that stands within the text."""
    path = Path(__file__).parents[3] / file
    if not path.exists():
        pytest.skip("it is in a checkout alone")
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^\.venv/bin/aptsched (.+)$", text, re.MULTILINE)
    commands += re.findall(r"`aptsched ([^`]+)`", " ".join(text.split()))
    assert len(commands) >= {"README.md": 15, "CONTRIBUTING.md": 1}[file]
    for command in commands:
        name, *words = shlex.split(command)
        known = help_of(capsys, name)
        assert all(f" {word} " in known for word in words if word.startswith("--")), command


def test_the_help_names_every_method_and_workload(capsys: pytest.CaptureFixture[str]) -> None:
    """What is written there by hand is complete."""
    text = help_of(capsys, "gap")
    assert all(name in text for name in [*METHODS, *ALIASES, *WORKLOADS])


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_no_line_of_a_help_is_longer_than_80_columns(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Examples and lists too, which are not broken into lines."""
    assert max(map(len, help_of(capsys, *command).splitlines())) <= 80


def test_one_list_of_policies_is_in_every_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Word for word the same where `--policy` stands, with all options; `aptsched list` has the same entries."""
    with_policies = [name for name in COMMANDS if "--policy " in help_of(capsys, name)]
    assert with_policies == ["capacity", "run", "serve", "simulate"]
    lists = [help_of(capsys, name).partition("\nPolicies:\n")[2] for name in with_policies]
    assert lists[0] == lists[1]
    with pytest.raises(SystemExit):
        cli.main(["list"])
    listed = " ".join(capsys.readouterr().out.split())
    for entry in catalogue(SELECT):
        assert " ".join(lists[0].split()).count(f"{entry.name} {entry.text}") == 1
        assert f"{entry.name} {entry.text}" in listed


@pytest.mark.parametrize("entry", catalogue(SELECT)[: len(CLASSES)], ids=lambda entry: entry.name)
def test_a_policy_takes_the_options_that_the_list_shows(entry: Entry) -> None:
    """Each value of each, and all defaults together give what no option gives."""
    oracle, select = TrueLengths(np.arange(1), np.ones(1, np.int64)), dict.fromkeys(SELECT, greedy)
    defaults = []
    for option in entry.options:
        name, _, values = option.partition("=")
        defaults.append(f"{name}={values.split('|')[0]}")
        for value in values.split("|"):
            assert load_policy(f"{entry.name}:{name}={value}", select, oracle)
    plain, spelled = (load_policy(":".join([entry.name, *given]), select, oracle) for given in ([], defaults))
    assert repr(plain) == repr(spelled)


def test_the_list_says_which_gpu_the_fits_are_of(capsys: pytest.CaptureFixture[str]) -> None:
    """And every simulation by fits says it too, on that GPU and where they are taken for another."""
    with pytest.raises(SystemExit):
        cli.main(["list"])
    assert "were measured on a100-80gb" in capsys.readouterr().out
    few = ["--workload", "humaneval", "--num-requests", "2", "--policy", "fcfs", "--jobs", "1"]
    for gpu, told in (
        ("a100-40gb", "reads of memory 1.31 times as long on a100-40gb"),
        ("a100-80gb", "1 x a100-80gb; rebuilding"),
    ):
        with pytest.raises(SystemExit):
            cli.main(["simulate", "--gpu", gpu, *few])
        shown = " ".join(capsys.readouterr().out.split())
        assert "fits of DistServe (OSDI 2024) of opt-13b on 1 x a100-80gb" in shown and told in shown
    with pytest.raises(SystemExit):
        cli.main(["simulate", "--gpu", "h100", *few])
    assert "roofline of opt-13b on 1 x h100" in capsys.readouterr().out
