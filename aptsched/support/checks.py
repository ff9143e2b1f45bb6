"""Array-like input to exact arrays, or one message that names the field, the value and what is accepted."""

from __future__ import annotations

import math
import operator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from aptsched.support.errors import InputError
from aptsched.support.number_text import has_plain_digits
from aptsched.support.shown import shown

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MAX_SECONDS = 2.0**940  # so that no price or sum overflows
MAX_DURATION_S = 1e9  # the longest time a user may give, thirty years: nothing computed from it overflows
MAX_COUNT = 2**32  # so that sums over two million requests stay exact in float64


def floats(field: str, given: npt.ArrayLike, ndim: int) -> Floats:
    """A read-only float64 copy with `ndim` axes, column by column, all finite and at most 2**940 in magnitude."""
    array = _numbers(field, given)
    if array.ndim != ndim:
        raise InputError(f"{field}: shape {list(array.shape)} is not accepted; {ndim} axes are needed")
    result: Floats = array.astype(np.float64, order="F")
    if np.maximum.reduce(np.abs(result), axis=None) <= MAX_SECONDS:  # the maximum is nan if any entry is
        result.flags.writeable = False
        return result
    if not np.isfinite(result).all():
        raise InputError(f"{_first(field, given, ~np.isfinite(result))} is not finite; finite numbers are accepted")
    too_large = np.abs(result) > MAX_SECONDS
    raise InputError(f"{_first(field, given, too_large)} is too large; magnitudes of up to 2**940 are accepted")


def counts(field: str, given: npt.ArrayLike, shape: tuple[int, ...]) -> Ints:
    """A read-only int64 copy of the given shape, column by column, every entry whole and from 0 to 2**32."""
    array = _numbers(field, given)
    if array.shape != shape:
        raise InputError(f"{field}: shape {list(array.shape)} does not match; {list(shape)} is needed")
    if array.dtype != np.int64 or np.maximum.reduce(array.view(np.uint64), axis=None) > MAX_COUNT:
        with np.errstate(invalid="ignore"):  # a negative number read as unsigned is beyond 2**63
            bad = ~((array >= 0) & (array <= MAX_COUNT))
            if array.dtype.kind == "f":
                bad |= array != np.floor(array)
        if bad.any():
            raise InputError(f"{_first(field, given, bad)} is not accepted; whole numbers from 0 to 2**32 are")
    result: Ints = array.astype(np.int64, order="F")
    result.flags.writeable = False
    return result


def limit(field: str, given: Any) -> int:
    """A whole number of at least 0."""
    try:
        value = operator.index(given)
    except TypeError:
        value = -1
    if value < 0 or isinstance(given, (bool, np.bool_)):
        raise InputError(f"{field}: {shown(given)} is not accepted; a whole number of at least 0 is")
    return value


def is_count(given: object, least: int, most: float) -> bool:
    """Whether it is a whole number, Python's own or numpy's, from `least` to `most`."""
    whole = isinstance(given, (int, np.integer)) and not isinstance(given, (bool, np.timedelta64))
    return whole and least <= int(given) <= most  # type: ignore[call-overload]


def seconds(field: str, given: Any, above_0: bool = False, below_0: bool = False) -> float:
    """A number of seconds from 0, or above it, to 1e9; with `below_0` those that something takes less, too."""
    value = as_float(given)
    if not (-MAX_DURATION_S if below_0 else 0) <= value <= MAX_DURATION_S or (above_0 and value == 0):
        least = "" if below_0 else " above 0" if above_0 else " of at least 0"
        raise InputError(f"{field}: {shown(given)} is not accepted; a finite number of seconds{least}, up to 1e9, is")
    return value


def time_limit(given: Any) -> float:
    """The seconds of `time_limit_s`, above 0; infinite where None is given."""
    value = math.inf if given is None else as_float(given)
    if isinstance(given, bool) or not value > 0:
        raise InputError(f"time_limit_s: {shown(given)} is not accepted; seconds above 0 are, or None for no limit")
    return value


def as_float(given: Any) -> float:
    """The number, or NaN for what is none."""
    try:
        return math.nan if isinstance(given, (str, bytes, bytearray)) else float(given)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def flags(field: str, given: npt.ArrayLike, n: int) -> Bools:
    """A read-only bool copy, [n]."""
    array = _array(field, given)
    if array.shape != (n,) or array.dtype != np.bool_:
        raise InputError(f"{field}: {array.dtype} of shape {list(array.shape)} is not accepted; bool of shape [{n}] is")
    result: Bools = array.copy()
    result.flags.writeable = False
    return result


def ratio(field: str, given: Fraction | float | str) -> Fraction:
    """A fraction above 0, and at most 2**32."""
    try:
        if isinstance(given, str) and not has_plain_digits(given):
            raise ValueError
        parted = isinstance(given, str) and "/" in given
        size = float(Fraction(given) if parted else given)  # as a float first: an exponent may stand for many digits
        value = Fraction(given) if 0 < size <= MAX_COUNT and not isinstance(given, bool) else Fraction(0)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        value = Fraction(0)
    if value <= 0:
        raise InputError(f"{field}: {shown(given, 40)} is not accepted; a fraction above 0, of at most 2**32, is")
    return value


def _array(field: str, given: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InputError(f"{field}: rows of different lengths are not accepted; a rectangular array is") from error


def _numbers(field: str, given: npt.ArrayLike) -> npt.NDArray[Any]:
    array = _array(field, given)
    if array.size == 0:
        raise InputError(f"{field}: shape {list(array.shape)} is empty; at least one request is needed")
    if array.dtype.kind not in "iuf":
        raise InputError(f"{field}: entries of type {array.dtype} are not accepted; numbers are")
    return array


def _first(field: str, given: npt.ArrayLike, bad: Bools) -> str:
    array = np.asarray(given)
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{field}{list(where) if where else ''}: {array[where]}"
