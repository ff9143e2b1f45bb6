"""Measured kinds of iterations, and the times fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptsched.scheduling.forms import FORM_ENTRIES, NUM_FORMS, Charge
from aptsched.scheduling.iteration_time import IterationTime

PLAIN = (0,) * NUM_FORMS  # blocks by form of a point in KV form, which no form adds time to


@dataclass(frozen=True)
class Point:
    """One kind of iteration, measured.

    Attributes
    ----------
    num_tokens, num_context_tokens : int
    kv_blocks_by_form : tuple of int, [f]
        As in `IterationTime.predict`, but 0 in KV form, which adds nothing.
    seconds : float
        The median of the repeats.
    extra_s : float
        For requests in another form: how much longer the iteration takes than with the same requests in KV form, the
        median of pairs.
    """

    num_tokens: int
    num_context_tokens: int
    kv_blocks_by_form: tuple[int, ...]
    seconds: float
    extra_s: float = 0.0

    @property
    def num_decodes(self) -> int:
        """Requests that feed one token after cached ones; the others are prefills."""
        return self.num_tokens if self.num_context_tokens else 0

    def num_blocks_with(self, charge: Charge) -> int:
        """Blocks m of the requests whose form has that charge."""
        return sum(self.kv_blocks_by_form[entry.form] for entry in FORM_ENTRIES if entry.charge is charge)


def fit(points: Sequence[Point]) -> tuple[IterationTime, float | None]:
    """The times that fit the points best, and R^2 of rho's line through the origin.

    Only what a form adds, and a decode beyond a token of a prompt, may be below 0; what a conversion takes is in no
    point, and stays 0.
    """
    plain = [point for point in points if point.kv_blocks_by_form == PLAIN]
    rows = np.array([[1.0, p.num_tokens - p.num_decodes, p.num_context_tokens, p.num_decodes] for p in plain])
    seconds = np.array([point.seconds for point in plain])
    fixed_s, per_token_s, per_context_s, decode_s = nonnegative(rows / seconds[:, None], np.ones(len(seconds)))
    rho, r_squared = _added(points, Charge.ABSORB)
    dequantise_s, _ = _added(points, Charge.DEQUANTISE)
    more_s = decode_s - per_token_s if rows[:, 3].any() else 0.0
    times = IterationTime(fixed_s, per_token_s, per_context_s, rho, dequantise_s, per_decode_s=more_s)
    return times, r_squared


def _added(points: Sequence[Point], charge: Charge) -> tuple[float, float | None]:
    """Seconds that a charge adds for each block m, and R^2; 0 and None where it was not measured.

    Time saved by reading fewer bytes of a form is subtracted in this.
    """
    charged = [point for point in points if point.num_blocks_with(charge)]
    if not charged:
        return 0.0, None
    blocks = np.array([point.num_blocks_with(charge) for point in charged], np.float64)
    extra_s = np.array([point.extra_s for point in charged])
    rate_s = slope(blocks, extra_s)
    spread = float(((extra_s - extra_s.mean()) ** 2).sum())
    return rate_s, 1.0 - float(((extra_s - rate_s * blocks) ** 2).sum()) / spread if spread else 1.0


def slope(along: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """The slope of the line through the origin that fits best."""
    along, wanted = np.asarray(along, np.float64), np.asarray(wanted, np.float64)
    return float(along @ wanted / (along @ along))


def nonnegative(rows: npt.ArrayLike, wanted: npt.ArrayLike) -> list[float]:
    """Least squares with coefficients of at least 0: the best over all subsets of the few columns."""
    rows, wanted = np.asarray(rows, np.float64), np.asarray(wanted, np.float64)
    best, best_error = np.zeros(rows.shape[1]), np.inf
    for chosen in range(1, 2 ** rows.shape[1]):
        columns = [c for c in range(rows.shape[1]) if chosen >> c & 1]
        found = np.linalg.lstsq(rows[:, columns], wanted, rcond=None)[0]
        error = float(((rows[:, columns] @ found - wanted) ** 2).sum())
        if (found >= 0).all() and error < best_error:
            best, best_error = np.zeros(rows.shape[1]), error
            best[columns] = found
    return [float(value) for value in best]
