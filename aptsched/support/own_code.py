"""Code of the user's own, by file and name: loaded anew, and what it raises is one message that says where."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from aptsched.support import interrupts
from aptsched.support.errors import InputError, described, words_of

OWN = re.compile(r"(?P<path>.+\.py):(?P<name>\w+)", re.DOTALL)


@contextlib.contextmanager
def blamed(field: str, name: str) -> Iterator[None]:
    """Whatever is raised within, SystemExit too, becomes an InputError with the place; Ctrl-C does not.

    The name is path.py:Name.
    """
    path = Path(name.rpartition(":")[0])
    with _caught(
        lambda error: f"{field}: {name} raised {type(error).__name__}{_place(error, path)}: {words_of(error)}"
    ):
        yield


@contextlib.contextmanager
def made(field: str, name: str, path: Path) -> Iterator[None]:
    """As `blamed`, around the construction of an object that the file defines."""
    with _caught(lambda error: f"{field}: {name} of {path} cannot be made: {described(error)}{_place(error, path)}"):
        yield


@contextlib.contextmanager
def _caught(message: Callable[[BaseException], str]) -> Iterator[None]:
    try:
        with interrupts.held() as hold, hold:
            yield
    except interrupts.Interrupted:
        raise
    except BaseException as error:
        raise InputError(message(error)) from error


def _place(error: BaseException, path: Path) -> str:
    """The last line of the file that led to the error; where none did, the line of other code that raised it."""
    if isinstance(error, SyntaxError):
        return ""  # its message has the line already
    frames = traceback.extract_tb(error.__traceback__)
    of_file = [frame for frame in frames if Path(frame.filename) in (path, path.absolute(), path.resolve())]
    last = (of_file or frames)[-1]
    return f" at {last.filename}, line {last.lineno}"


def module_of(field: str, path: Path) -> ModuleType:
    """The file as a module, run anew.

    Raises
    ------
    InputError
        There is no such file, or it cannot be loaded, and why.
    """
    try:
        is_file = path.is_file()
    except OSError as error:
        raise InputError(f"{field}: {words_of(error)}; path.py:Name of a file is accepted") from error
    if not is_file:
        raise InputError(f"{field}: there is no file {path}; path.py:Name of one is accepted")
    spec = importlib.util.spec_from_file_location(f"{field} in {path.resolve()}", path)
    assert spec is not None and spec.loader is not None, "a name that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    try:
        with _caught(lambda error: f"{field}: {path} cannot be loaded: {described(error)}{_place(error, path)}"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
