"""Skip-join multi-level feedback queue, after FastServe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.cache import KV
from aptsched.checks import Floats, Ints
from aptsched.errors import InputError
from aptsched.plan import Plan
from aptsched.policies.chunks import too_large
from aptsched.policies.queue import leading, shared
from aptsched.view import View


@dataclass(eq=False)
class FastServe:
    """The highest levels run first, in order of arrival within a level; who overruns a quantum goes a level down.

    A request joins at the level whose quantum covers its prefill, as it is believed to take. An iteration takes
    requests in that order, prefills and decodes together, up to the token budget, the sequence limit and the pool.
    Those that run and are not taken keep their cache until blocks are needed for others; then the last are preempted.

    Parameters
    ----------
    quantum_s : float
        Quantum of the highest level; each level below has twice that of the one above.
    num_levels : int
    starvation_s : float
        Who has not run for that long goes back to the highest level.

    Notes
    -----
    Source: Wu et al., FastServe (arXiv 2305.05920), section 4, and the defaults of its code.

    Departures: a preemption throws the cache away, where FastServe swaps it to the host ahead of time. A request's
    time is that of all iterations it was in, from one decision to the next. The last prefill within the token budget
    gets a chunk where FastServe would leave it out. What the pool can never hold with a KV cache is rejected.
    It remembers levels and times of unfinished requests: make a new one for each run.
    """

    quantum_s: float = 0.010
    num_levels: int = 16
    starvation_s: float = 3.0

    def __post_init__(self) -> None:
        for name in ("quantum_s", "starvation_s"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"{name}: {getattr(self, name)} is not accepted; seconds above 0 are")
        if not 1 <= self.num_levels <= 64:
            raise InputError(f"num_levels: {self.num_levels} is not accepted; 1 to 64 are")
        self._request_id = self._level = np.empty(0, np.int64)
        self._used_s = self._last_ran_s = np.empty(0)
        self._ran = np.empty(0, np.bool_)
        self._decided_s = 0.0

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
        self._promote(view.now_s)
        plan = self._plan(view)
        self._ran[plan.request] = True
        self._decided_s = view.now_s
        return plan

    def _charge(self, now_s: float) -> None:
        """The time since the last decision goes to those that ran; who overran the quantum goes a level down."""
        self._used_s[self._ran] += now_s - self._decided_s
        self._last_ran_s[self._ran] = now_s
        over = self._used_s >= self.quantum_of(self._level)
        self._level[over] = np.minimum(self._level[over] + 1, self.num_levels - 1)
        self._used_s[over] = 0.0

    def _follow(self, view: View) -> None:
        """Forget requests that have ended, and let new ones join: rows are those of the view."""
        order = np.argsort(self._request_id, kind="stable")
        at = np.searchsorted(self._request_id, view.request_id, sorter=order)
        known = np.zeros(len(view.request_id), np.bool_)
        inside = np.flatnonzero(at < len(order))
        known[inside] = self._request_id[order[at[inside]]] == view.request_id[inside]
        before = order[at[known]]
        prefill_s = view.times.fixed_s + view.times.per_token_s * view.num_tokens.astype(np.float64)
        level = self.joined(prefill_s)
        used_s, last_ran_s = np.zeros(len(level)), np.full(len(level), view.now_s)
        level[known], used_s[known], last_ran_s[known] = (
            column[before] for column in (self._level, self._used_s, self._last_ran_s)
        )
        self._request_id, self._level, self._used_s, self._last_ran_s = view.request_id, level, used_s, last_ran_s
        self._ran = np.zeros(len(level), np.bool_)

    def _promote(self, now_s: float) -> None:
        """Who has not run for the starvation time goes back to the highest level, with all of its quantum."""
        starved = now_s - self._last_ran_s >= self.starvation_s
        self._level[starved], self._used_s[starved], self._last_ran_s[starved] = 0, 0.0, now_s

    def _plan(self, view: View) -> Plan:
        """As many of the first as fit; of the others the last make room."""
        reject = too_large(view)
        order = np.argsort(self._level, kind="stable")
        order = order[~np.isin(order, reject)] if len(reject) else order
        free = view.free_blocks + int(view.num_held[reject].sum())
        fed = shared(view.num_remaining[order], view.max_tokens)
        fed[view.max_seqs :] = 0
        held, form = view.num_held[order], np.where(view.running[order], view.form[order], KV)
        need = np.where(fed > 0, _need(view, order, fed, form), 0)
        kept = leading(held + need, view.num_blocks)
        short = int(need[:kept].sum()) - free
        outside = order[kept:][::-1]
        outside = outside[view.running[outside]]
        count = leading_at_least(view.num_held[outside], short)
        going = fed[:kept] > 0
        return Plan(order[:kept][going], fed[:kept][going], form[:kept][going], preempt=outside[:count], reject=reject)


def _need(view: View, rows: Ints, fed: Ints, form: Ints) -> Ints:
    """Blocks that each needs more, [r]."""
    after = view.cache.blocks_by_form(view.num_cached[rows] + fed, form)
    need: Ints = np.maximum(after - view.num_held[rows], 0)
    return need


def leading_at_least(amounts: Ints, needed: int) -> int:
    """How many of the first amounts, [n], it takes to add up to what is needed; all where they do not."""
    if needed <= 0:
        return 0
    return min(len(amounts), int(np.searchsorted(np.cumsum(amounts), needed)) + 1)
