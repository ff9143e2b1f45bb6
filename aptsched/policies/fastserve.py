"""Skip-join multi-level feedback queue, after FastServe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.known_before import known_before
from aptsched.policies.option_checks import check_span
from aptsched.policies.queue import too_large
from aptsched.policies.swapping import swapping_plan
from aptsched.scheduling.forms import NONE
from aptsched.scheduling.plan import Plan, nothing
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError

HOST_SHARE = 0.1  # while less of the host is free no new request is begun


@dataclass(eq=False)
class FastServe:
    """As FastServe: highest levels run first; requests that overrun a quantum sink, those left out go to the host.

    A request joins at the highest level whose quantum covers the predicted time of its prefill. Within a level,
    requests in the pool come first, then the order of arrival counts. An iteration takes requests in that order,
    prefills and decodes together, up to the token budget, the sequence limit and the pool. Of the others the last are
    swapped out as blocks are needed, and ahead of need to keep a block free for each request of the batch; they are
    swapped in when it is their turn. While less than a tenth of the host is free, no new request is begun. If the host
    has no room for requests that would have to leave, only those in the pool go on; if these outgrow it, the last are
    preempted and recomputed.

    Parameters
    ----------
    quantum_s : float
        Quantum of the highest level; each level below has twice that of the one above.
    num_levels : int
    starvation_s : float
        A request that has not run for that long goes back to the highest level.
    starvation_period : int
        Such requests are looked for once in so many iterations. All of them come back at once, and swapping them takes
        time in which others starve: with small periods, an overloaded server does nothing but swap.

    Notes
    -----
    Source: Wu et al., FastServe (arXiv 2305.05920), section 4, and the rules and defaults of its code.

    Departures: copies do not overlap with computing here, so that nothing is gained by swapping in ahead of time, and
    it is not done. FastServe keeps a block free for each request of the largest batch, puts demoted requests before
    others of their level, and assumes that the host has room. A request is charged the whole time of each iteration it
    was in, from one decision to the next. The last prefill within the token budget gets a chunk where FastServe would
    leave it out. A request that the pool can never hold with a KV cache is rejected.
    The policy remembers levels and times of unfinished requests: make a new object for each run.
    """

    quantum_s: float = 0.010
    num_levels: int = 16
    starvation_s: float = 3.0
    starvation_period: int = 1000

    def __post_init__(self) -> None:
        for name in ("quantum_s", "starvation_s"):
            check_span(name, getattr(self, name))
        if not 1 <= self.num_levels <= 64:
            raise InputError(f"num_levels: {self.num_levels} is not accepted; 1 to 64 are")
        if self.starvation_period < 1:
            raise InputError(f"starvation_period: {self.starvation_period} is not accepted; at least 1 iteration is")
        self._request_id = self._level = np.empty(0, np.int64)
        self._used_s = self._last_ran_s = np.empty(0)
        self._ran = np.empty(0, np.bool_)
        self._decided_s, self._num_decisions = 0.0, 0

    def quantum_of(self, level: Ints) -> Floats:
        """The quantum of each level in seconds, [n]."""
        quantum_s: Floats = np.ldexp(self.quantum_s, level)
        return quantum_s

    def joined(self, prefill_s: Floats) -> Ints:
        """The highest level whose quantum covers the prefill, [n]: the levels above it are skipped."""
        level = np.ceil(np.log2(np.maximum(prefill_s / self.quantum_s, 1.0))).astype(np.int64)
        return np.minimum(level, self.num_levels - 1)

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        self._charge(view.now_s)
        self._follow(view)
        self._num_decisions += 1
        if self._num_decisions % self.starvation_period == 0:
            self._promote(view.now_s)
        plan = self._plan(view)
        self._ran[plan.request] = True
        self._decided_s = view.now_s
        return plan

    def _charge(self, now_s: float) -> None:
        """Charge the time since the last decision to the requests that ran; those over their quantum sink a level."""
        self._used_s[self._ran] += now_s - self._decided_s
        self._last_ran_s[self._ran] = now_s
        over = self._used_s >= self.quantum_of(self._level)
        self._level[over] = np.minimum(self._level[over] + 1, self.num_levels - 1)
        self._used_s[over] = 0.0

    def _follow(self, view: View) -> None:
        """Forget requests that have ended and let new ones join, so that the rows are those of the view."""
        known, before = known_before(self._request_id, view.request_id)
        base_s = view.times.fixed_s + view.times.prefill_s
        prefill_s = base_s + view.times.per_token_s * view.num_tokens.astype(np.float64)
        level = self.joined(prefill_s)
        used_s, last_ran_s = np.zeros(len(level)), np.full(len(level), view.now_s)
        level[known], used_s[known], last_ran_s[known] = (
            column[before] for column in (self._level, self._used_s, self._last_ran_s)
        )
        self._request_id, self._level, self._used_s, self._last_ran_s = view.request_id, level, used_s, last_ran_s
        self._ran = np.zeros(len(level), np.bool_)

    def _promote(self, now_s: float) -> None:
        """Move requests that have not run for the starvation time to the highest level, with a full quantum."""
        starved = now_s - self._last_ran_s >= self.starvation_s
        self._level[starved], self._used_s[starved], self._last_ran_s[starved] = 0, 0.0, now_s

    def _plan(self, view: View) -> Plan:
        """Run what fits, the highest levels first; no new requests while the host is nearly full."""
        reject = too_large(view)
        order = np.argsort(2 * self._level - view.running, kind="stable")
        free_host = view.free_host_blocks + sum_of(view.num_swapped[reject])
        out = np.flatnonzero(view.form == NONE) if free_host < HOST_SHARE * view.num_host_blocks else nothing()
        return swapping_plan(view, order[~np.isin(order, out)] if len(out) else order, reject)
