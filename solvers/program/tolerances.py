"""Bounds on the errors that tolerances of solvers in floats may hide, and so when their proofs of optimality count.

A row (sum of use x <= limit, in whole units) must not refuse a choice that fits, nor accept one that is a unit over. A
solver checks the row to within `ROWS`, of the row or (SCIP) of its limit, and takes x for whole within `ROWS`, which
changes the sum by that fraction of the largest use. Both errors stay below half a unit where uses and limit are at most
`scaled_rows.LARGEST`; larger numbers are stated digit by digit. (Given weights around 2**26 as they are, CBC and HiGHS
called selections optimal that were 1% below the optimum.)

A better selection may be cut off where it is better by less than a `CUTOFF`, in the units of the objective as it is
given to the solver. Whether that is little is known only once something is chosen: `solvers.program.answer` compares.

Sources, defaults unless `solvers` sets them: HiGHS options `mip_feasibility_tolerance` 1e-6, `primal_` and
`dual_feasibility_tolerance` 1e-7, `mip_abs_gap` 1e-6; SCIP parameters `numerics/feastol` 1e-6 (of the larger of 1 and
the sides compared), `numerics/dualfeastol` 1e-7, `numerics/epsilon` 1e-9; CBC `integerTolerance` 1e-6,
`primalTolerance` and `dualTolerance` 1e-7, `increment` 1e-5.
"""

from __future__ import annotations

import math

from solvers.program.formulation import Formulation
from solvers.program.scaled_rows import scale_rows

ROWS = 1e-6
CUTOFF = 1e-6
CUTOFF_OF_CBC = 1e-5


def missed_s(formulation: Formulation, cutoff: float = CUTOFF) -> float:
    """By how much, in seconds, an answer proved optimal in floats may fall short of the optimum."""
    return math.ldexp(cutoff, -formulation.scaled_values()[1])


def safe_bound_s(formulation: Formulation, scaled_bound: float) -> float:
    """A solver's bound on the scaled objective, made safe, in seconds; inf where it has none, or a row has digits.

    The tolerances of all columns and rows are added; a unit of a row is worth at most the most valuable column. In
    rows that are stated digit by digit the units are too large for that to be of use.
    """
    if not math.isfinite(scaled_bound) or scale_rows(formulation).most.size:
        return math.inf
    values, exponent = formulation.scaled_values()
    unsafe = ROWS * (formulation.num_columns + 1 + formulation.limits.size * float(values.max(initial=0.0)))
    return math.nextafter(math.ldexp(scaled_bound + unsafe, -exponent), math.inf)
