"""Admission as a contract: whoever is admitted is never preempted, and has every token in time."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.chunks import chunk_plan
from aptsched.policies.contract_terms import Terms, chunk_sizes, prompt_left
from aptsched.policies.due_times import due_s
from aptsched.policies.future_peak import get_ready
from aptsched.policies.queue import blocks_of, kept_along, shared, too_large
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.view import View
from aptsched.support.arrays import any_of
from aptsched.support.checks import Ints, seconds
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MOST_NEW = 64  # requests that an iteration decides on; further ones wait for the next
MOST_PASSED_OVER = 3  # of these, that may wait while others behind them are admitted
NEVER = "its deadlines or its memory could not be promised, even if it were alone"


@dataclass(frozen=True)
class Contract:
    """Admits a request if all deadlines, and no preemption, can be promised to it and to everybody before it.

    A request is admitted where, with all outputs as long as their caps and iterations as long as predicted, those
    admitted never take more blocks than there are, no iteration is longer than any TPOT, and each first token comes
    within its TTFT (`Terms`). They end sooner than that or not: the promise holds, as THEOREMS.md, (10), shows. Every
    iteration feeds one token of everybody admitted, and a chunk of prompts by deadline, of the size that leaves most
    time. Others wait, by deadline, until they are admitted, or are rejected once not even an empty machine could make
    it.

    Parameters
    ----------
    margin : float
        Share by which iterations may take longer than predicted: the promise of time is as good as this bound.
    beside_s : float
        Seconds that an iteration may take beside that, as for scheduling.

    Notes
    -----
    Caps are `View.cap_tokens`. All caches have KV form.
    """

    margin: float = 0.1
    beside_s: float = 0.001

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1e6:
            raise InputError(f"margin: {shown(self.margin)} is not accepted; a share of at least 0 is")
        seconds("beside_s", self.beside_s)
        get_ready()

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        grown = too_large(view)  # none, like what `kept_along` leaves out below, where all plans were its own
        running = np.setdiff1d(view.running.nonzero()[0], grown)
        waiting, never = self._possible(view, (~view.running).nonzero()[0])
        never = np.union1d(never, grown)
        rows, num_passed_over = by_deadline(view, running), 0
        while len(waiting) and num_passed_over <= MOST_PASSED_OVER:
            count = self._num_admitted(view, rows, waiting)
            rows = by_deadline(view, np.concatenate([rows, waiting[:count]]))
            waiting, num_passed_over = waiting[count + 1 :], num_passed_over + 1
        fed, admitted = self._fed(view, rows), np.sort(rows[~view.running[rows]])
        kept, _ = kept_along(view, running, fed[running], view.free_blocks + blocks_of(view, grown))
        if kept < len(running):
            return chunk_plan(view, running[:kept], fed[running[:kept]], nothing(), nothing(), running[kept:], never)
        plan = chunk_plan(view, running, fed[running], admitted, fed[admitted], nothing(), never)
        holds = plan.holds if len(rows) == len(view.num_tokens) else 0
        return replace(plan, reject_reasons=[NEVER] * len(never), holds=holds)

    def _possible(self, view: View, waiting: Ints) -> tuple[Ints, Ints]:
        """Those who wait and could be promised all if they were alone, by deadline, and the others."""
        if not len(waiting):
            return waiting, nothing()
        best_s = np.max([self._terms.slack_alone_s(view, waiting, chunk) for chunk in chunk_sizes(view)], axis=0)
        in_time = (best_s >= 0) & (due_s(view, waiting) >= view.now_s)
        return by_deadline(view, waiting[in_time])[:MOST_NEW], waiting[~in_time]

    def _num_admitted(self, view: View, rows: Ints, waiting: Ints) -> int:
        """How many of the first of those who wait can be promised all, beside those who were: the most that can."""
        most = max(0, min(len(waiting), view.max_seqs - len(rows)))

        def is_too_many(count: int) -> bool:
            together = by_deadline(view, np.concatenate([rows, waiting[:count]]))
            return not self._terms.can_promise(view, together)

        upper = 1
        while upper < most and not is_too_many(upper):
            upper *= 2
        lower = upper // 2  # so many are not too many
        return lower + bisect_left(range(lower + 1, min(upper, most) + 1), True, key=is_too_many)

    def _fed(self, view: View, rows: Ints) -> Ints:
        """Tokens fed to each request, [n], 0 to those not among the rows: one each, and a chunk by deadline."""
        fed = np.zeros(len(view.num_tokens), np.int64)
        rows = rows[: min(view.max_seqs, view.max_tokens)]
        fed[rows] = 1
        left = prompt_left(view, rows)
        if any_of(left > 0):
            chunk = max(chunk_sizes(view), key=lambda size: self._terms.slack_s(view, rows, size))
            fed[rows] += shared(np.maximum(left - 1, 0), min(chunk, view.max_tokens - len(rows)))
        return fed

    @property
    def _terms(self) -> Terms:
        return Terms(self.margin, self.beside_s)


def by_deadline(view: View, rows: Ints) -> Ints:
    """The rows by when their next tokens are due, of equal ones in order of arrival."""
    order = np.lexsort((rows, due_s(view, rows)))
    sorted_rows: Ints = rows[order]
    return sorted_rows
