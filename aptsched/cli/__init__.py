"""The commands, one a file: the only package that looks into every room. What is heavy is imported where used."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aptsched.cli import (  # noqa: F401  # they attach their commands, in the order of the help
    calibrate,
    gap,
    generate,
    listing,
    run,
    simulate,
    solve,
    verify,
)
from aptsched.cli.base import BAD_INPUT, NO_ANSWER, app
from aptsched.errors import InputError

SEVERAL = {
    "gap": ("--num-requests", "--load", "--methods"),
    "run": ("--policy", "--rate"),
    "simulate": ("--policy", "--rate"),
}  # options that take several values


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input ends with one line on stderr and exit code 2."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115  # None where it was closed
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    try:
        try:
            app(args=spread(sys.argv[1:] if arguments is None else arguments), prog_name="aptsched")
        finally:
            sys.stdout.flush()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"error: stdout: cannot be written ({error.strerror})", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains once more at its end
        sys.exit(NO_ANSWER)


def spread(arguments: Sequence[str]) -> list[str]:
    """`--load 0.1 0.5` as `--load 0.1 --load 0.5`, which is all that typer reads, where an option takes several."""
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
