"""Times of iterations, fitted to how long they took: weighted least squares that forgets, around what was believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aptsched.scheduling.forms import FORM_ENTRIES, Charge
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.checks import Floats

FITTED = (
    "fixed_s",
    "per_token_s",
    "per_context_token_s",
    "per_decode_s",
    "prefill_s",
    "rho_s_per_block",
    "dequantise_s_per_block",
)  # fields of `IterationTime`, in the order of the amounts that they price
CHARGED = tuple(
    np.array([False, *(entry.charge is charge for entry in FORM_ENTRIES)])
    for charge in (Charge.ABSORB, Charge.DEQUANTISE)
)  # of each of the last two prices, [f + 1]: whether a request in that form pays it for its blocks
KEPT = 0.99  # weight of what was seen before, at each further iteration: some hundred of them count
NOISE = 0.03  # standard deviation of an iteration's time, as a share of it
LEAST_SPREAD_S = np.array([1e-2, 1e-4, 1e-6, 1e-4, 1e-2, 1e-4, 1e-4])  # by which a price may be off where 0 is believed


class TimesFit:
    """Prices of what an iteration does, as iterations so far fit them best.

    That is all prices but `rebuild_s_per_block`: iterations that convert are not learnt from. What is minimised is the
    sum of squares of relative errors, (took_s - predicted) / max(took_s, believed), of which older ones count less, and
    of the prices' distances from those believed, each over a spread as large as itself. A pause of the machine so
    counts for little: its error is below 1, and its amounts are small beside its time.

    Parameters
    ----------
    believed : IterationTime
        What the fit begins with, and is drawn to where iterations say nothing.
    """

    def __init__(self, believed: IterationTime) -> None:
        self._believed = believed
        self._price_s = np.array([getattr(believed, name) for name in FITTED])
        self._precision = np.diag((NOISE / np.maximum(np.abs(self._price_s), LEAST_SPREAD_S)) ** 2)
        self._squares, self._products = np.zeros((len(FITTED), len(FITTED))), np.zeros(len(FITTED))
        self._times: IterationTime | None = believed

    def add(self, amounts: Floats, took_s: float) -> None:
        """Learns from an iteration that took so long, or from several of which both are means.

        Parameters
        ----------
        amounts : float array, [7]
            1, tokens fed, cached tokens that are read, decodes, 1 if tokens of a prompt are fed, and blocks m of
            requests whose attention is absorbed or rebuilt, and of those that are dequantised.
        took_s : float
            Seconds; what takes no time is not counted.
        """
        believed_s = float(amounts @ self._price_s)
        scale_s = max(took_s, believed_s)
        if took_s <= 0 or not np.isfinite(scale_s):
            return
        relative = amounts / scale_s
        self._squares = KEPT * self._squares + np.outer(relative, relative)
        self._products = KEPT * self._products + relative * ((took_s - believed_s) / scale_s)
        self._times = None

    @property
    def times(self) -> IterationTime:
        """The times that fit best now."""
        if self._times is None:
            moved_s = np.linalg.solve(self._squares + self._precision, self._products)
            price_s = dict(zip(FITTED, (self._price_s + moved_s).tolist(), strict=True))
            for name in FITTED[:3]:
                price_s[name] = max(0.0, price_s[name])
            for name, least in (("per_decode_s", "per_token_s"), ("prefill_s", "fixed_s")):
                price_s[name] = max(-price_s[least], price_s[name])
            self._times = replace(self._believed, **price_s)
        return self._times
