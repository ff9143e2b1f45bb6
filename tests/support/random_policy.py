"""A policy that draws random legal plans: whatever it does, tokens must come out the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View

SHARES = (0.0, 0.0, 0.1, 0.5)  # of the requests that something happens to, drawn anew for each plan


@dataclass
class RandomPolicy:
    """Forms, chunks, preemptions, swaps, conversions, orders, idling: all that is legal, and what may not fit.

    Attributes
    ----------
    rng : Generator
        All that the plans depend on, apart from the views.
    reject_share : float
        Of the requests of a view, how many are given up.
    idle_share : float
        Of the plans, how many are empty.
    wanted_forms : tuple of CacheForm
        Lossy ones that it may give beside all others.
    """

    rng: np.random.Generator
    reject_share: float = 0.0
    idle_share: float = 0.1
    wanted_forms: tuple[CacheForm, ...] = ()

    def decide(self, view: View) -> Plan:
        """A legal plan."""
        if self.rng.random() < self.idle_share:
            return Plan()
        reject = self._some(np.ones(len(view.request_id), np.bool_), self.reject_share)
        kept = np.ones(len(view.request_id), np.bool_)
        kept[reject] = False
        preempt = self._some(kept & (view.form != CacheForm.NONE), self.rng.choice(SHARES))
        form, num_cached, away = view.form.copy(), view.num_cached.copy(), view.num_swapped > 0
        form[preempt] = num_cached[preempt] = 0
        away[preempt] = False
        swap_out = self._some(kept & view.running & (form != 0), self.rng.choice(SHARES))
        swap_in = self._some(kept & away, self.rng.choice([0.3, 0.8]))
        kept[swap_out] = away[swap_in] = False
        kept &= ~away
        allowed = view.cache.conversions
        convert = self._some(kept & allowed[form].any(axis=1), self.rng.choice(SHARES))
        convert_to = np.array([self.rng.choice(np.flatnonzero(allowed[own])) for own in form[convert]], np.int64)
        form[convert] = convert_to
        request, num_tokens = self._entries(kept, view.num_tokens - num_cached, view)
        drawn = self.rng.choice(view.cache.offered, len(request))
        own = form[request]
        return Plan(
            request=request,
            num_tokens=num_tokens,
            form=np.where(own == CacheForm.NONE, drawn, own),
            preempt=preempt,
            swap_out=swap_out,
            swap_in=swap_in,
            convert=convert,
            convert_to=convert_to,
            reject=reject,
        )

    def _some(self, among: np.ndarray, share: float) -> np.ndarray:
        """Rows of some, in random order."""
        rows = np.flatnonzero(among & (self.rng.random(len(among)) < share))
        return self.rng.permutation(rows)

    def _entries(self, kept: np.ndarray, remaining: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
        """Rows in random order and their tokens, within the limits of an iteration."""
        rows, fed, left = [], [], view.max_tokens
        for row in self._some(kept, self.rng.choice([0.3, 0.8, 1.0]))[: view.max_seqs].tolist():
            most = min(int(remaining[row]), left)
            if most:
                rows.append(row)
                fed.append(most if self.rng.random() < 0.6 else int(self.rng.integers(1, most + 1)))
                left -= fed[-1]
        return np.array(rows, np.int64), np.array(fed, np.int64)
