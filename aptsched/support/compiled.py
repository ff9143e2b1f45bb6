"""Inner loops over numbers: compiled by numba where it is installed (extra `fast`), else run as they stand.

Both ways do the same operations in the same order on the same floats (no fastmath), so that they agree to the last bit.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

Loops = TypeVar("Loops", bound=Callable[..., Any])
Number = TypeVar("Number", np.float64, np.int64)
RARE = 5000  # calls that take about as long as loading numba does
MANY = 1000  # entries from which on the two ways differ by more than milliseconds
SLOW = "numba is not installed: deciding among so many takes some fifty times as long; pip install 'aptsched[fast]'"


def compiled(loops: Loops) -> Loops:
    """Decorates a function of numbers, arrays, [n] or [k, n], and tuples of these, to be compiled at its first call.

    It may call other such functions of its module. Arrays are read and written entry by entry: `array[i]`, and
    `array[f][i]` for two axes. It never divides by 0. What is compiled is kept on disk, beside the module or in the
    user's cache directory.
    """
    return cast(Loops, Compiled(loops))


def compiled_if_often(loops: Loops) -> Loops:
    """The same for what some ask thousands of times, and most hardly ever, who need not wait for numba to be loaded.

    Where nothing else has loaded it, the first `RARE` calls run as they stand.
    """
    return cast(Loops, Compiled(loops, RARE))


def row_by_row(table: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """A table, [k, n] or [n], as such functions are given it, so that they are compiled once: C order, read-only."""
    table = np.ascontiguousarray(table)
    table.setflags(write=False)
    return table


def filled(number: float, n: int) -> Any:
    """A number n times, for such functions to write: an array, or a list, faster where they run as they stand."""
    return [number] * n


class Compiled:
    """A function that `compiled` decorates."""

    def __init__(self, loops: Callable[..., Any], num_plain: int = 0) -> None:
        self.loops, self.num_plain = cast(FunctionType, loops), num_plain  # calls that may yet run as they stand
        self.run: Callable[..., Any] | None = None
        self.__name__ = loops.__name__
        update_wrapper(self, loops)

    def __call__(self, *given: Any) -> Any:
        """What the function returns."""
        if self.run is None:
            if self.num_plain and "numba" not in sys.modules:
                self.num_plain -= 1
                return self.plain(*given)
            self.run = _by_numba(self) if is_fast() else self.plain
        return self.run(*given)

    @cached_property
    def plain(self) -> Callable[..., Any]:
        """The function as it stands."""
        return in_plain_python(self)


@cache
def is_fast() -> bool:
    """Whether loops are compiled: numba is there, and the environment variable NUMBA_DISABLE_JIT is not 1."""
    return importlib.util.find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") != "1"


def _by_numba(of: Compiled) -> Callable[..., Any]:
    """A function to be compiled, and all others of its module with it, as they call each other."""
    from numba import njit

    scope = _bare(of.loops.__globals__)
    scope["filled"] = njit(lambda number, n: np.full(n, number))
    for name, value in of.loops.__globals__.items():
        if isinstance(value, Compiled):
            scope[name] = value.run = njit(cache=True, error_model="numpy")(scope[name])
    return cast(Callable[..., Any], scope[of.__name__])


def in_plain_python(loops: Callable[..., Any]) -> Callable[..., Any]:
    """Such a function as it stands, which takes lists in place of arrays, too, and so whole numbers of any size."""
    of = cast(Compiled, loops)
    plain = _bare(of.loops.__globals__)[of.__name__]
    return lambda *given: plain(*map(_entries, given))


@cache
def _say_once() -> None:
    if importlib.util.find_spec("numba") is None:
        logging.getLogger(__name__).warning(SLOW)


def _bare(module: dict[str, Any]) -> dict[str, Any]:
    """The names of a module, its loops as plain functions that call each other so."""
    scope = dict(module)
    for name, value in module.items():
        if isinstance(value, Compiled):
            scope[name] = FunctionType(value.loops.__code__, scope, name)
    return scope


def _entries(given: Any) -> Any:
    """Lists of what is read only, as they are fastest; memory views of what may be written."""
    if isinstance(given, tuple):
        return tuple(map(_entries, given))
    if not isinstance(given, np.ndarray):
        return given
    if given.shape[-1] > MANY:
        _say_once()
    if not given.flags.writeable:
        return given.tolist()
    return given.data if given.ndim == 1 else [row.data for row in given]
