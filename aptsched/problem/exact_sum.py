"""The correctly rounded sum of an array."""

from __future__ import annotations

import math

from aptsched.support.checks import Floats
from aptsched.support.compiled import compiled

UNIT_ROUNDOFF = 2.0**-53


def exact_sum(terms: Floats) -> float:
    """`math.fsum` of an array, [n], in a tenth of the time, unless the sum is next to a rounding boundary.

    If the sum is further from a rounding boundary than it can be wrong, it is correctly rounded. Source: Ogita, Rump
    and Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26(6), 2005, Sum2 and its error bound.
    """
    total, rest, size = sum_twice(terms)
    missed = abs(rest) + 2 * (len(terms) * UNIT_ROUNDOFF) ** 2 * size
    boundary = (abs(total) - math.nextafter(abs(total), 0.0)) / 2
    return total if missed < boundary else math.fsum(terms.tolist())


@compiled
def sum_twice(terms: Floats) -> tuple[float, float, float]:
    """The sum of all terms and of what is rounded off in adding them up, as a float and the rest; the sum of sizes."""
    total, lost, size = 0.0, 0.0, 0.0
    for i in range(len(terms)):
        term = terms[i]
        after = total + term
        back = after - total
        lost += (total - (after - back)) + (term - back)
        total = after
        size += abs(term)
    after = total + lost
    back = after - total
    return after, (total - (after - back)) + (lost - back), size
