"""The shared limits as solvers that work in floats get them: in whole numbers that their tolerances leave alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.support.checks import Floats, Ints
from solvers.program.formulation import Formulation

LARGEST = 400_000  # of uses and limits: times the loosest tolerance, 1e-6, it is 0.4, less than half a unit
DIGIT = 2**17


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """use y <= limits, where y is the columns, x, and then whole numbers to carry, from 0 up to `most`.

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
    """The limits, those with numbers beyond `LARGEST` digit by digit.

    With w = D high + low and C = D C_high + C_low, sum w x <= C is the same, for whole x, as that there is a whole
    carry q >= 0 with sum low x - D q <= C_low and sum high x + q <= C_high: the first and D times the second add up to
    it; and if it holds, q = C_high - sum high x is at least 0, for else sum w x >= D (C_high + 1) > C, and is such a q.
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
