"""What the tolerances of solvers that work in floats may hide, and so when their word that an answer is optimal counts.

A row that says sum of use x <= limit, in whole units, must not hide a choice that fits nor accept one that is a unit
over. A solver checks it to within `ROWS`, of the row or (SCIP) of its limit, and takes x for whole within `ROWS`, which
changes the sum by that part of the largest use: both stay below half a unit where uses and limit are at most
`rows.LARGEST`, and larger ones are stated digit by digit. (Given weights around 2**26 as they are, CBC and HiGHS called
selections optimal that were 1% below the optimum.)

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
    """By how much, in seconds, an answer that is proved in floats may be worth less than the optimum."""
    return math.ldexp(cutoff, -formulation.scaled_values()[1])


def safe_bound_s(formulation: Formulation, scaled_bound: float) -> float:
    """A solver's bound on the scaled objective, in seconds, made safe; inf where it has none, or none that counts.

    The tolerance of every column is added, and of each row, of which a unit is worth at most the most valuable column.
    In rows that are stated digit by digit units are too large for that to say much.
    """
    if not math.isfinite(scaled_bound) or scale_rows(formulation).most.size:
        return math.inf
    values, exponent = formulation.scaled_values()
    unsafe = ROWS * (formulation.num_columns + 1 + formulation.limits.size * float(values.max(initial=0.0)))
    return math.nextafter(math.ldexp(scaled_bound + unsafe, -exponent), math.inf)
