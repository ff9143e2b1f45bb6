"""Which rate to probe next, and the highest rate below which every probed rate holds a level: one seed, one policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEP = 1.02**8  # between rates until one holds and the next does not; three bisections lead to WITHIN
WITHIN = 1.0201  # between the rate that holds and the next one, at which the search ends
FURTHEST = 50.0  # times the first rate, or a part of it: where the search for a rate that fails, or holds, is given up
CHECKED = (0.8, 0.5)  # parts of the rate found at which it is made sure that lower rates hold too
NEAR = 1.15  # a probe so near to such a part counts for it
DIGITS = 4  # of every rate, so that it can be typed as it is printed


@dataclass(frozen=True)
class Probe:
    """What came of serving the requests of a seed at one rate.

    Attributes
    ----------
    rate_per_s : float
    attained : float or None
        Share of the requests that attain their objectives; None where the run was given up, as no level that is sought
        could be reached any more.
    stable : bool
        Whether the rate can be sustained; a rate that is not stable holds no level.
    """

    rate_per_s: float
    attained: float | None
    stable: bool = True

    def holds(self, level: float) -> bool:
        """Whether the share attains the level and the run is stable."""
        return self.stable and self.attained is not None and self.attained >= level


def next_rate(probes: Sequence[Probe], level: float, first_per_s: float) -> float | None:
    """The rate to probe next, which depends on nothing but the arguments; None once the level's rate is known.

    In growing steps from the first rate until one holds and a higher one does not, then by bisection of the logarithm
    until these are 2% apart. Probes that were made for other levels count. At the end lower rates are checked: where
    one fails, the search goes on below it.

    Parameters
    ----------
    probes : sequence of Probe
        All so far, in any order.
    level : float
        0.9 is 90%.
    first_per_s : float
        Where to begin.
    """
    if not probes:
        return rounded(first_per_s)
    held, failed = bracket(probes, level)
    rates = [probe.rate_per_s for probe in probes]
    if failed is None:
        top = max(rates)
        return rounded(top * STEP * max(1.0, top / first_per_s)) if top < FURTHEST * first_per_s else None
    if held is None:
        low = min(rates)
        return rounded(low / STEP * min(1.0, low / first_per_s)) if low * FURTHEST > first_per_s else None
    if failed.rate_per_s > WITHIN * held.rate_per_s:
        return rounded(math.sqrt(held.rate_per_s * failed.rate_per_s))
    return next((rounded(part * held.rate_per_s) for part in CHECKED if not _is_known(rates, part, held)), None)


def bracket(probes: Sequence[Probe], level: float) -> tuple[Probe | None, Probe | None]:
    """The highest rate below which every probed rate holds, itself included, and the next one probed, which does not.

    The first is None if not even the lowest rate probed holds, the second if all do.
    """
    held = None
    for probe in sorted(probes, key=lambda probe: probe.rate_per_s):
        if not probe.holds(level):
            return held, probe
        held = probe
    return held, None


def crossing_rate(probes: Sequence[Probe], level: float) -> float:
    """The rate at which a seed ceases to hold the level, between the two rates of `bracket`; nan if none was found.

    The share is taken to fall with the logarithm of the rate. Where it did not fall below the level, as the run was
    not stable, or is not known, it is the geometric mean of the two rates. If all rates hold, it is the highest probed.
    """
    held, failed = bracket(probes, level)
    if held is None:
        return math.nan
    if failed is None:
        return held.rate_per_s
    assert held.attained is not None
    part = 0.5
    if failed.attained is not None and failed.attained < level:
        part = (held.attained - level) / (held.attained - failed.attained)
    return float(held.rate_per_s * (failed.rate_per_s / held.rate_per_s) ** part)


def rounded(rate_per_s: float) -> float:
    """The rate in so few digits that it can be typed as it is printed."""
    return float(f"{rate_per_s:.{DIGITS}g}")


def _is_known(rates: Sequence[float], part: float, held: Probe) -> bool:
    wanted = part * held.rate_per_s
    return any(wanted / NEAR <= rate <= wanted * NEAR for rate in rates)
