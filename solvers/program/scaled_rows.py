"""The shared limits for solvers that work in floats: in whole numbers small enough for their tolerances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.support.checks import Floats, Ints
from solvers.program.formulation import Formulation

LARGEST = 400_000  # the largest use or limit: times the loosest tolerance, 1e-6, it is 0.4, less than half a unit
DIGIT = 2**17


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """use y <= limits, where y has the columns, x, and then carries: whole numbers from 0 up to `most`.

    Attributes
    ----------
    use : float array, [rows, num_columns + num_carries]
    limits : float array, [rows]
    most : float array, [num_carries]
    """

    use: Floats
    limits: Floats
    most: Floats


def scale_rows(formulation: Formulation) -> ScaledRows:
    """The limits as rows; one with numbers beyond `LARGEST` becomes two rows, for its high and its low digits.

    Let w = D high + low and C = D C_high + C_low. For whole x, sum w x <= C holds if and only if some whole carry
    q >= 0 has sum low x - D q <= C_low and sum high x + q <= C_high. If: the first and D times the second add up to it.
    Only if: take q = C_high - sum high x, which is at least 0, for otherwise sum w x >= D (C_high + 1) > C.
    """
    uses: list[Ints] = []
    limits: list[int] = []
    most: list[int] = []
    for use, limit in zip(formulation.resources, formulation.limits.tolist(), strict=True):
        carried = np.concatenate([use, np.zeros(len(most), np.int64)])
        while max(int(carried.max(initial=0)), limit) > LARGEST:
            low, carried = carried % DIGIT, carried // DIGIT
            uses.append(np.append(low, -DIGIT))
            limits.append(limit % DIGIT)
            limit //= DIGIT
            most.append(limit)
            carried = np.append(carried, 1)
        uses.append(carried)
        limits.append(limit)
    full = np.zeros((len(uses), formulation.num_columns + len(most)))
    for row, some in zip(full, uses, strict=True):
        row[: len(some)] = some
    return ScaledRows(full, np.array(limits, np.float64), np.array(most, np.float64))
