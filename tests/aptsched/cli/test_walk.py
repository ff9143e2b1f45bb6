"""A walk over all commands and options, each with values of every bad kind: one line, an exit code that says why.

What there is to walk is read from the commands themselves; a command that is new needs one line in `VALID`.
"""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import typer

from aptsched import cli
from aptsched.cli.base import app
from aptsched.support.shown import LINE_CHARS
from commands import call
from http_server import free_port, serving
from tiny_model import LLAMA, save_model

POSIX = os.name == "posix"
PORT = free_port()
SOURCE = ["--workload", "sharegpt", "--num-requests", "3"]
ON_MODEL = ["--model", "model", "--threads", "1"]
VALID = {  # each ends with 0 within a tenth of a second
    "bench": [
        *(f"http://127.0.0.1:{PORT}", *SOURCE, "--rate", "1000", "--vocab-size", "200"),
        *("--max-prompt-tokens", "8", "--max-output-tokens", "2"),
    ],
    "calibrate": ON_MODEL,
    "capacity": [
        *("--workload", "humaneval", "--num-requests", "3", "--policy", "fcfs", "--setting", "paper"),
        *("--level", "0.9", "--seeds", "2", "--jobs", "1", "--num-blocks", "100", "--rate", "5"),
    ],
    "gap": [*SOURCE, "--instances", "1", "--methods", "greedy"],
    "generate": [*ON_MODEL, "--prompt", "ab", "--max-tokens", "2", "--cache-mem", "64KiB"],
    "list": [],
    "report": ["served"],
    "run": [
        *(*ON_MODEL, *SOURCE, "--rate", "1000", "--policy", "fcfs", "--calibration", "calibration.json"),
        *("--num-blocks", "64", "--max-prompt-tokens", "8", "--max-output-tokens", "2"),
    ],
    "serve": [
        *(*ON_MODEL, "--policy", "fcfs", "--calibration", "calibration.json", "--num-blocks", "64"),
        *("--port", "0", "--check"),
    ],
    "simulate": [*SOURCE, "--policy", "fcfs", "--jobs", "1"],
    "snapshot": [*SOURCE, "--out", "queue.json"],
    "solve": ["instance.json", "--method", "greedy"],
    "verify": ["study"],
}
EXCLUDE = {"--trace": "--workload", "simulate --duration": "--num-requests", "--cache-mem": "--num-blocks"}
FINDS = ("gap", "generate", "solve", "verify")  # commands that say with exit code 1 what they found
SHARE = 20  # one of so many values
LARGE = {  # numbers between these are accepted, and take minutes or gigabytes
    ("bench", "--num-requests"): (100, 10**9),
    ("capacity", "--num-requests"): (100, 10**9),
    ("capacity", "--jobs"): (1, 10**21),  # each would start processes, twice
    ("capacity", "--seeds"): (2, 10**9),
    ("gap", "--num-requests"): (5000, 10**6),
    ("gap", "--instances"): (50, 10**6),
    ("generate", "--cache-mem"): (10**6, 2**60),
    ("run", "--cache-mem"): (10**6, 2**60),
    ("run", "--swap-space"): (10**6, 2**60),
    ("run", "--num-blocks"): (1000, 2**24),
    ("run", "--num-requests"): (100, 10**9),
    ("simulate", "--num-requests"): (100, 10**9),
    ("simulate", "--duration"): (50, 10**7),
}

NUMBERS = ["0", "-1", "2147483648", "9223372036854775808", "18446744073709551616", "1" + "0" * 20, "-1" + "0" * 5000]
NUMBERS += ["1" + "0" * 5000, "nan", "inf", "-inf", "1e308", "1e309", "1e-308", "5e-324", "-5e-324", "1e30", "1.5"]
NUMBERS += ["1_000", " 1", "", "abc", "\u0663", "0x10", "4294967297", "100000"]
NAMES = ["nope", "", " ", ",", ":", "=", "-", "--", "n" * 5000, "new\nline", "\x1b[31mred", "\u202eleft", "\ud800"]
NAMES += [os.fsdecode(b"caf\xc3"), "fcfs:", "fcfs:x=1", "aptserve:watermark=nan", "x.py:", "x.py:A", "a b", "'"]
NAMES += ["1/0", "-1/2", "1e99999/3", "1,nan", "1 2", "cuda:99", "GiB", "1e5GiB", "\u0663MiB"]
PATHS = ["missing", "missing/below", ".", "pipe", "behind", "loop", "pipe.toml", "pipe.gguf", "pipe.py:A", "empty"]
PATHS += ["deep.json", "deep.toml", "deep.py:A", "digits.json", "digits.toml", "twenty.json", "twenty.toml", "binary"]
PATHS += ["nan.json", "negative.json", "empty/below", "/n" * 5000, "n" * 5000 + ".toml", "n" * 5000 + ".py:A"]
PATHS += ["/dev/null", "/dev/zero", "/dev/full", "/dev/zero/below", "~nobody/x", "unreadable", "full.jsonl"]


@dataclass(frozen=True)
class Option:
    """An option or argument of a command, by its name there and the type of its value."""

    command: str
    name: str
    is_argument: bool
    is_flag: bool
    is_number: bool

    def values(self) -> list[str]:
        """Bad and odd values of every kind that it may be given."""
        if self.is_flag:
            return [""]
        values = [*NUMBERS, *NAMES[:14]] if self.is_number else [*NUMBERS, *NAMES, *PATHS]
        large = LARGE.get((self.command, self.name), (0, 0))
        return [value for value in values if not is_between(value, *large)]

    def arguments(self, value: str) -> list[str]:
        """The valid command with this value in place of its own."""
        given = list(VALID[self.command])
        if self.is_argument:
            return [self.command, *given[1:], "--", value]
        for name in (self.name, EXCLUDE.get(self.name, ""), EXCLUDE.get(f"{self.command} {self.name}", "")):
            while name in given:
                place = given.index(name)
                del given[place : place + 2]
        return [self.command, *given, self.name if self.is_flag else f"{self.name}={value}"]


def is_between(value: str, least: float, most: float) -> bool:
    """Whether it is a number that an option accepts, and too much for a test."""
    try:
        return least < float(value) <= most
    except (ValueError, OverflowError):
        return False


def options() -> Iterator[Option]:
    """All options of all commands, from the functions that typer makes commands of."""
    cli.attach([])
    commands = typing.cast(typing.Any, typer.main.get_command(app)).commands
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        kinds = typing.get_type_hints(command.callback)
        for parameter in commands[name].params:
            if parameter.name not in kinds:
                continue
            kind = kinds[parameter.name]
            kinds_of = {kind, *typing.get_args(kind)}
            is_argument = parameter.param_type_name == "argument"
            yield Option(name, parameter.opts[0], is_argument, bool in kinds_of, bool({int, float} & kinds_of))


ALL = list(options())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Valid inputs of all commands, a server among them, and bad ones of every kind, in a directory of their own."""
    home = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        save_model(home / "model", LLAMA)
        for arguments in (
            ["snapshot", *SOURCE, "--out", "instance.json"],
            ["gap", *VALID["gap"], "--out", "study"],
            ["simulate", *VALID["simulate"], "--out", "served"],
            ["calibrate", *VALID["calibrate"], "--out", "."],
        ):
            assert call(*arguments) == 0
        _write_bad(home)
    with serving(port=PORT):
        yield home


def _write_bad(home: Path) -> None:
    digits, twenty = "1" + "0" * 5000, "1" + "0" * 20
    calibration = (home / "calibration.json").read_text()
    instance = '{"schema":"aptsched.instance","version":1,"problem":{"values":[[1]],"weights":[[1]],"capacity":%s}}'
    gpu = "flops_per_s = %s\nbandwidth_bytes_per_s = 1e12\nmemory_bytes = %s\npcie_bytes_per_s = 1e9\n"
    texts = {
        "empty": "",
        "deep.json": "[" * 200_000,
        "deep.toml": "a = " + "[" * 20_000,
        "deep.py": "(" * 100_000,
        "digits.json": instance % digits,
        "twenty.json": calibration.replace('"r_squared": ', f'"r_squared": {twenty}, "r": ', 1),
        "digits.toml": gpu % (digits, digits),
        "twenty.toml": gpu % (twenty, twenty),
        "nan.json": calibration.replace('"fixed_s": ', '"fixed_s": NaN, "was": ', 1),
        "negative.json": calibration.replace('"fixed_s": ', '"fixed_s": -1, "was": ', 1),
        "full.jsonl": '{"timestamp": 1e400, "input_length": %s, "output_length": 1}\n'.replace("%s", digits),
        "unreadable": "text",
    }
    for name, text in texts.items():
        (home / name).write_text(text)
    (home / "binary").write_bytes(bytes(range(256)) * 40)
    (home / "unreadable").chmod(0)
    if POSIX:
        for name in ("pipe", "pipe.toml", "pipe.gguf", "pipe.py"):
            os.mkfifo(home / name)
        (home / "behind").symlink_to("pipe")
        (home / "loop").symlink_to("loop")


@pytest.fixture
def place(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with links to all inputs, where commands may write; torch has as many threads afterwards."""
    for path in directory.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def faults(option: Option, values: Sequence[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is wrong with how the command ends, for each of the values."""
    found = []
    for value in values:
        arguments = option.arguments(value)
        try:
            with pytest.raises(SystemExit) as caught:
                cli.main(arguments)
            code = caught.value.code or 0
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
        out, err = capsys.readouterr()
        fault = _fault(option.command, code, out, err)
        if fault:
            found.append(f"{option.command} {option.name}={value[:40]!r}: {fault[:300]}")
    return found


def _fault(command: str, code: object, out: str, err: str) -> str:
    if code not in (0, 2) and not (code == 1 and command in FINDS):
        return f"exit code {code}"
    if "Traceback" in err:
        return "a traceback"
    if code != 2:
        return ""
    messages = [line for line in err.splitlines() if line.startswith("error: ")]
    if len(messages) != 1 or err.splitlines()[-1] != messages[0] or out:
        return f"not one message: {err!r}, {out!r}"
    return "" if messages[0].isprintable() and len(messages[0]) <= LINE_CHARS else f"not a line: {messages[0]!r}"


def walk(command: str, share: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Faults of a command, with one of so many values of each option, in turn."""
    mine = [option for option in ALL if option.command == command]
    return [
        fault
        for number, option in enumerate(mine)
        for fault in faults(option, option.values()[(number % share) :: share], capsys)
    ]


def test_the_walk_knows_all_commands_and_options() -> None:
    """What is added is walked, or this says what is missing."""
    names = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert set(VALID) == names
    counted = dict.fromkeys(names, 0)
    for option in ALL:
        counted[option.command] += 1
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        parameters = set(inspect.signature(command.callback).parameters) - {"context"}  # the parser's own
        assert counted[name] == len(parameters), name


@pytest.mark.parametrize("command", sorted(VALID))
def test_what_the_walk_varies_is_valid(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else it would find the same message for all values."""
    assert call(command, *VALID[command]) == 0, capsys.readouterr().err


@pytest.mark.skipif(not POSIX, reason="pipes and devices as POSIX has them")
@pytest.mark.parametrize("command", sorted(VALID))
def test_bad_values_end_with_one_line(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of every option some values, of options alike others."""
    found = walk(command, SHARE, capsys)
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.skipif(not POSIX, reason="pipes and devices as POSIX has them")
@pytest.mark.parametrize("command", sorted(VALID))
def test_all_bad_values_end_with_one_line(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of every option all values."""
    found = walk(command, 1, capsys)
    assert not found, "\n".join(found)
