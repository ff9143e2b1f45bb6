"""All small changes of a value as JSON has them. Test modules import it by name, as `brute_force`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import Any

MISSING = object()  # stands for a field that is left out
OTHERS: list[Any] = [None, True, False, "x", "", [], {}, 0, 1, -1, 10**400, math.nan, math.inf, -math.inf]


def mutations(value: Any, depth: int = 0) -> Iterator[Any]:
    """Values near this one, and values of other types."""
    yield from OTHERS
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        number = float(value)
        yield from (value + 1, value - 1, -value, 2 * value, str(value), [value], number)
        yield from (math.nextafter(number, math.inf), math.nextafter(number, -math.inf))
    elif isinstance(value, str):
        yield from (value + "x", value[1:], value[:-1], value[::-1], value.upper())
    elif isinstance(value, list):
        yield from (value[:-1], value[1:], value[::-1], value + value[-1:], value[:1] + value, tuple(value))
        for i, j in combinations(range(len(value)), 2):
            yield [value[{i: j, j: i}.get(at, at)] for at in range(len(value))]
        for i, entry in enumerate(value):
            yield from ([*value[:i], other, *value[i + 1 :]] for other in mutations(entry, depth + 1))
    elif isinstance(value, dict):
        yield value | {"x": 1}
        for first, second in combinations(value, 2):
            yield value | {first: value[second], second: value[first]}
        for changed, _, _ in of_fields(value):
            yield changed


def of_fields(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """The record with one field changed or left out, the field, and its new value."""
    for name, value in record.items():
        yield {other: record[other] for other in record if other != name}, name, MISSING
        for other in mutations(value):
            yield record | {name: other}, name, other
