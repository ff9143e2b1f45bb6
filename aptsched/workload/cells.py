"""The values in a trace file: numbers and times, or a refusal that says what is accepted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from aptsched.support import checks
from aptsched.support.checks import MAX_COUNT
from aptsched.support.errors import InputError
from aptsched.support.number_text import has_plain_digits
from aptsched.support.shown import shown

TICKS_PER_S = 10**7  # Azure's clock counts 100 ns; whole ticks keep them apart, float seconds since 1970 would not
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d+))?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII)
HUGE = 2**1000  # larger whole numbers may have no float
MOST_NAMES = 8  # most names in one line
MOST_CHARACTERS = 80  # of a name
ParseTime = Callable[[object], float]


class Refused(Exception):
    """A value that is not accepted; the message says what is."""


def bad_row(path: str, line: int, column: str, value: object, accepted: str) -> InputError:
    """One message: file, line, column, value and what is accepted."""
    return InputError(f"{path}, line {line}, column {column}: {shown(value)} is not accepted; {accepted} is")


def named_columns(names: Iterable[str]) -> str:
    """Names of columns in one line: only the first of many, and in quotes those that cannot be printed as they are."""
    each = list(names)
    first = [name if name.isprintable() and 0 < len(name) <= 40 else shown(name) for name in each[:MOST_NAMES]]
    return ", ".join(first) + (f" and {len(each) - MOST_NAMES} more" if len(each) > MOST_NAMES else "")


def count(value: object, minimum: int) -> int:
    """A whole number from `minimum` to 2**32; 12.0 is whole, True is no number."""
    number = _number(value)
    if number is None or not minimum <= number <= MAX_COUNT or number != int(number):
        raise Refused(f"a whole number from {minimum} to 2**32")
    return int(number)


def objective(value: object) -> float:
    """An objective in seconds, above 0 and at most 1e9."""
    number = _number(value)
    if number is None or not 0 < number <= checks.MAX_DURATION_S:
        raise Refused(f"a number of seconds above 0, at most {checks.MAX_DURATION_S:g},")
    return float(number)


def priority(value: object) -> int:
    """A whole number, which may be below 0."""
    number = _number(value)
    if number is None or not -MAX_COUNT <= number <= MAX_COUNT or number != int(number):
        raise Refused("a whole number from -2**32 to 2**32")
    return int(number)


def name(value: object) -> str:
    """A name of up to 80 characters, or a whole number as one."""
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not 0 < len(text) <= MOST_CHARACTERS or not text.isprintable():
        raise Refused(f"a name of up to {MOST_CHARACTERS} characters")
    return text


def seconds(value: object) -> float:
    """A time in seconds (or in any other unit), finite and at least 0."""
    return float(_time(value))


def since_first() -> ParseTime:
    """Make a parser of times in any unit that returns the time since the first one that it parsed.

    Whole numbers are subtracted as whole numbers: nanoseconds since 1970 have more digits than a float.
    """
    first: int | float | None = None

    def parse(value: object) -> float:
        nonlocal first
        number = _time(value)
        first = number if first is None else first
        return float(number - first)

    return parse


def ticks(value: object) -> int:
    """A date and time as whole ticks of 100 ns since 1970; without a time zone it is taken as UTC."""
    match = DATE_TIME.fullmatch(str(value).strip())
    try:
        if match is None:
            raise ValueError
        moment, fraction, zone = match.groups()
        whole = (datetime.fromisoformat(moment + (zone or "Z")) - EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise Refused("a time such as 2023-11-16 18:17:03.9799600 or 2024-05-10 00:00:00.009930+00:00") from error
    return whole * TICKS_PER_S + int((fraction or "")[:7].ljust(7, "0"))


def ticks_without_unit(value: object) -> int:
    """As `ticks`, for a column whose name says no unit: numbers are refused, for they could be in any unit."""
    try:
        return ticks(value)
    except Refused:
        elsewhere = "a number in a column whose name has its unit (timestamp_s, timestamp_ms)"
        raise Refused(f"a date and time (2024-05-10 00:00:00.25), or {elsewhere},") from None


def _time(value: object) -> int | float:
    number = _number(value)
    if number is None or not 0 <= number < math.inf:
        raise Refused("a number that is finite and at least 0")
    return number


def _number(value: object) -> int | float | None:
    if isinstance(value, str):
        if not has_plain_digits(value):
            return None
        try:
            value = int(value)
        except ValueError:  # also raised for more than 4,300 digits, which as a float are infinite
            try:
                return float(value)
            except ValueError:
                return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -HUGE < value < HUGE else math.inf
    return value if isinstance(value, float) else None
