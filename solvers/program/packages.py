"""The optional packages that the general solvers need."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

from aptsched.support.errors import InputError


def package(name: str) -> ModuleType:
    """Import a module of the extra `solvers`.

    Raises
    ------
    InputError
        If it is not installed; the message names the extra that installs it.
    """
    try:
        with _own_symbols_first() if name.startswith("ortools") else contextlib.nullcontext():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"package {name.partition('.')[0]}: not installed, but this solver needs it; "
            "pip install 'aptsched[solvers]' brings it"
        ) from error


@contextlib.contextmanager
def _own_symbols_first() -> Iterator[None]:
    """Let libraries loaded within it find their own symbols before global ones (RTLD_DEEPBIND, on Linux).

    ortools and highspy each contain a HiGHS, and importing PuLP (3.3.2) makes the symbols of highspy's global. MathOpt
    would then call that other version in place of its own, and crash.
    """
    deep = getattr(os, "RTLD_DEEPBIND", 0)
    if not deep:
        yield
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | deep)
    try:
        yield
    finally:
        sys.setdlopenflags(flags)
