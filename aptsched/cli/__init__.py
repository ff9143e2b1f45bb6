"""The commands, one a file; only this room imports from every other. Heavy packages are imported where used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from typing import get_args, get_type_hints

from aptsched.cli import streams
from aptsched.cli.base import BAD_INPUT, COMMANDS, UsageError, app
from aptsched.support import interrupts
from aptsched.support.errors import InputError
from aptsched.support.number_text import has_plain_digits
from aptsched.support.shown import shown

SEVERAL = {
    "bench": ("--rate",),
    "capacity": ("--policy", "--level", "--slo", "--setting", "--cost"),
    "gap": ("--num-requests", "--load", "--methods"),
    "run": ("--policy", "--rate"),
    "serve": ("--policy",),
    "simulate": ("--policy", "--rate", "--cost"),
}  # options that take several values
MODEL_COMMANDS = {"calibrate", "generate", "run", "serve"}
THREADS = "OPENBLAS_NUM_THREADS"
NUMBERS = {"integer": "a whole number", "float": "a number", "number": "a number"}  # the parser's words, and ours


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input ends with one line on stderr and exit code 2."""
    given = spread(sys.argv[1:] if arguments is None else arguments)
    with streams.prepared(), interrupts.terminable(), _threads_for(given):
        code = _code(given)
        sys.exit(interrupts.exit_code() if code == interrupts.EXIT_CODE else code)


@contextmanager
def _threads_for(arguments: Sequence[str]) -> Iterator[None]:
    """Numpy is imported without threads for large matrices, which only a model has: they spin when they start."""
    ours = THREADS not in os.environ and not MODEL_COMMANDS.intersection(arguments[:1])
    if ours:
        os.environ[THREADS] = "1"
    try:
        yield
    finally:
        if ours:
            del os.environ[THREADS]


def attach(arguments: Sequence[str]) -> None:
    """Import the module of the command that is asked for, which attaches it; all of them, for help and for errors."""
    home = COMMANDS.get(arguments[0]) if arguments else None
    for name in COMMANDS.values() if home is None else (home,):
        import_module(f"aptsched.cli.{name}")


def _code(arguments: list[str]) -> int:
    """Run a command and return its exit code; what ends it early is one line on stderr."""
    try:
        attach(arguments)
        _check_digits(arguments)
        code: int | None = app(args=arguments, prog_name="aptsched", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except InputError as error:
        streams.say(f"error: {error}")
    except UsageError as error:
        if arguments:
            streams.say(f"error: {_usage(error, arguments)}")
        else:  # the error is the help itself
            error.show()
    except streams.StdoutError as error:
        if str(error):
            streams.say(f"error: stdout: cannot be written ({error})")
        streams.drop_stdout()
    except MemoryError as error:
        streams.say(f"error: memory: there is not enough for what is asked ({error}); smaller numbers are accepted")
    except OSError as error:
        streams.say(f"error: {error.filename or 'the system'}: {error.strerror}")
    except KeyboardInterrupt:
        streams.say("interrupted")
        return interrupts.EXIT_CODE
    return BAD_INPUT


def _check_digits(arguments: Sequence[str]) -> None:
    """Raise InputError where an option that is a number has digits that no file may have (`has_plain_digits`)."""
    if all(map(has_plain_digits, arguments)):
        return
    for command in app.registered_commands:
        assert command.callback is not None
        if arguments[0] != (command.name or command.callback.__name__):
            continue
        for name, kind in get_type_hints(command.callback).items():
            value, kinds = _given([f"--{name.replace('_', '-')}"], arguments), (kind, *get_args(kind))
            if value is not None and not has_plain_digits(value) and (int in kinds or float in kinds):
                accepted = NUMBERS["integer" if int in kinds else "float"]
                raise InputError(f"{name}: {shown(value)} is not accepted; {accepted} is")


def _usage(error: UsageError, arguments: Sequence[str]) -> str:
    """The parser's error message; about a number it is put in the form of our other messages."""
    text, parameter = error.format_message().rstrip("."), getattr(error, "param", None)
    value = parameter and _given(parameter.opts, arguments)
    accepted = next((words for word, words in NUMBERS.items() if word in text), None)
    if parameter is not None and value is not None and accepted is not None:
        return f"{parameter.name}: {shown(value)} is not accepted; {accepted} is"
    command = "aptsched" if error.ctx is None else error.ctx.command_path
    return f"{text}; `{command} --help` lists what is accepted"


def _given(names: Sequence[str], arguments: Sequence[str]) -> str | None:
    """The last value of an option, by any of its names; None where it is not given."""
    values = [after for name, after in pairwise(arguments) if name in names]
    values += [value for name, equals, value in (text.partition("=") for text in arguments) if equals and name in names]
    return values[-1] if values else None


def spread(arguments: Sequence[str]) -> list[str]:
    """Turn `--load 0.1 0.5` into `--load 0.1 --load 0.5`, as typer needs it, for options that take several values."""
    several = SEVERAL.get(arguments[0], ()) if arguments else ()
    if not several:
        return list(arguments)
    result: list[str] = []
    option, given = "", False
    for argument in arguments:
        if argument.startswith("--"):
            name, given = argument.partition("=")[0], "=" in argument
            option = name if name in several else ""
            result.append(argument)
        else:
            result += [option, argument] if option and given else [argument]
            given = True
    return result
