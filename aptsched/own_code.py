"""Code of the user's own, by file and name: loaded anew, and what it raises is one message that says where."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from aptsched.errors import InputError

OWN = re.compile(r"(?P<path>.+\.py):(?P<name>\w+)", re.DOTALL)
MOST_SHOWN = 300  # characters of what an error says


@contextlib.contextmanager
def blamed(field: str, name: str) -> Iterator[None]:
    """Whatever is raised within, SystemExit too, becomes an InputError with the place; but not Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f" at {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
        raise InputError(f"{field}: {name} raised {type(error).__name__}{where}: {words_of(error)}") from error


def words_of(error: BaseException) -> str:
    """What an error says, cut where it is long, whatever its class makes of that."""
    try:
        text = str(error)
    except Exception:
        return "it cannot say why"
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


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
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[spec.name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise InputError(f"{field}: {path} cannot be loaded: {type(error).__name__}: {words_of(error)}") from error
    return module
