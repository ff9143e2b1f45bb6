"""Values that careless and hostile callers give."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from aptsched import InputError

ODD_VALUES: list[object] = [
    *(None, "", "a,b", "x\ny", "9" * 5000, "\udcff", "nan", "1e400", "0x10", "\u0661", b"x", bytearray(b"12")),
    *(
        0,
        -1,
        1.5,
        True,
        float("nan"),
        float("inf"),
        10**400,
        -(10**400),
        10**20,
        1 + 2j,
        Fraction(1, 3),
        Decimal("NaN"),
    ),
    *([], (), {}, set(), ["a", 1], [None], [[1, 2]], {1: 2}, {1: "fcfs"}, {"a": "fcfs"}, range(3)),
    *(np.int64(3), np.float32(2), np.bool_(True), np.str_("fcfs"), np.array(3), np.array([]), np.array([1, 2])),
    *(object(), int, len, Path("no/such/path"), Path("/"), memoryview(b"12"), np.timedelta64(3)),
]


def check_refused_or_taken(call: Callable[[object], object]) -> None:
    """Each odd value is taken, or refused by one message; says which raises anything else."""
    for value in ODD_VALUES:
        try:
            call(value)
        except InputError:
            pass
        except Exception as error:
            pytest.fail(f"{value!r:.60} raises {error!r:.200}")
