"""Parts that the commands of studies share: reading their options, and ending a serving study."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from aptsched.cli.base import typer
from aptsched.cli.unwritten import postponed
from aptsched.support import interrupts
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from engine.study.serving_study import ServingStudy

Options = TypeVar("Options")


def options_of(context: typer.Context, kind: type[Options], **others: Any) -> Options:
    """The options of the command as a frozen dataclass of this kind: those whose names it has, and `others`."""
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    given = {name: value for name, value in context.params.items() if name in names}
    return kind(**{**given, **others})


def ended(study: ServingStudy, is_written: bool, as_json: bool) -> int:
    """Write and print a study, then what went wrong; return the exit code of the command.

    Raises
    ------
    InputError
        Runs failed, or files could not be written: the message says which and why. All other runs are done.
    """
    from aptsched.report.document import json_parts

    unwritten: list[InputError] = []
    document = study.long_document
    if is_written and study.runs:
        assert study.directory is not None
        with postponed(unwritten):
            document = study.written(study.directory)
    if as_json:
        for part in json_parts(document):
            print(part, end="")
    else:
        study.show(sys.stdout)
    if study.error is not None:
        raise study.error
    return _exit_code(study, unwritten)


def _exit_code(study: ServingStudy, unwritten: list[InputError]) -> int:
    """The exit code; what Ctrl-C left out is said on stderr."""
    reasons = "; ".join(_reasons(study, unwritten))
    done = f"{study.num_done} of {study.num_planned} runs were"
    if study.num_done + len(study.failed) < study.num_planned:
        print(f"interrupted: {done} done", file=sys.stderr)
        if reasons:
            print(f"failed: {reasons}", file=sys.stderr)
        return interrupts.EXIT_CODE
    if reasons:
        raise InputError(f"{reasons} ({done} served)" if study.num_planned > 1 else reasons)
    return 0


def _reasons(study: ServingStudy, unwritten: list[InputError]) -> list[str]:
    """The reasons why runs failed, and why logs or results were not written, each once."""
    reasons = [*(run.reason for run in study.failed), *(run.unwritten for run in study.runs), *map(str, unwritten)]
    return list(dict.fromkeys(filter(None, reasons)))
