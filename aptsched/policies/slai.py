"""Decodes are put off until the last moment, so that prompts go first, the shortest before others; as SLAI."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.option_checks import check_watermark
from aptsched.policies.prompt_queue import Sorted, beside_decodes, num_admitted, sorted_rows
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Floats
from aptsched.support.errors import InputError


@dataclass(frozen=True)
class SLAI:
    """As SLAI: decodes wait for their last moment; until then prompts go first, the shortest of those that wait.

    A decode is critical from its newest token + TPOT - `batches` x the time of an iteration on. An iteration feeds
    critical decodes, the most urgent first, then prompts that were begun, then those that wait, by priority and length,
    and the other decodes with what is left of its tokens. Who waits is admitted while the blocks of its whole prompt
    are there. When blocks run out, the latest arrivals are preempted.

    Parameters
    ----------
    max_chunk : int
        Most tokens of an iteration; the loop's token budget applies too.
    max_decodes : int
        Most decodes of an iteration.
    batches, batches_when_full : float
        How many iterations before its last moment a decode is critical, below and from `full` on.
    full : float
        Share of the pool that is held.
    watermark : float
        Share of the pool that admission leaves free.

    Notes
    -----
    Source: Bari et al., SLAI (SIGMETRICS 2026; arXiv 2508.01002), and its code: budget 512, 128 decodes, 5 and 10
    iterations, 96% of memory, order of the queues.

    Departures: the time of an iteration is that predicted for one with all decodes and the whole budget, the code's
    the mean of all so far. The priority of a request stands for what the code calls strict users, paying ones. Out of
    blocks, the code preempts the latest prompt that was begun, else the decode itself. A request that the pool can
    never hold with a KV cache is rejected.
    """

    max_chunk: int = 512
    max_decodes: int = 128
    batches: float = 5.0
    batches_when_full: float = 10.0
    full: float = 0.96
    watermark: float = 0.01

    def __post_init__(self) -> None:
        for name in ("max_chunk", "max_decodes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} is not accepted; at least 1 is")
        for name in ("batches", "batches_when_full"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name}: {getattr(self, name)} is not accepted; a number of iterations is")
        if not 0 <= self.full <= 1:
            raise InputError(f"full: {self.full} is not accepted; a share of the pool, 0 to 1, is")
        check_watermark(self.watermark)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        of = sorted_rows(view)
        budget = min(self.max_chunk, view.max_tokens)
        waiting = of.waiting[np.lexsort((view.num_tokens[of.waiting], view.priority[of.waiting]))]
        prompts = np.concatenate([of.begun, waiting[: num_admitted(view, of, waiting, self.watermark)]])
        most = min(self.max_decodes, budget)
        last_s = self._last_moment_s(view, of, budget)
        order = last_s.argsort(kind="stable")[:most]
        num_critical = int((last_s[order] <= view.now_s).sum())
        left = budget - num_critical
        num_others = max(0, left - sum_of(view.num_remaining[prompts]))
        decodes = of.decodes[order[: num_critical + num_others]]
        plan = beside_decodes(view, of, decodes, prompts, left)
        if not len(plan.request) and len(order):  # no prompt finds room: its tokens go to decodes
            plan = beside_decodes(view, of, of.decodes[order], prompts, budget - len(order))
        return replace(plan, then_decodes=False) if plan.then_decodes and len(view.num_tokens) > most else plan

    def _last_moment_s(self, view: View, of: Sorted, budget: int) -> Floats:
        """From when on each decode is critical, [d]."""
        num_decodes = len(of.decodes)
        context = sum_of(view.num_cached[of.decodes])
        batch_s = view.times.predict(max(budget, num_decodes), context, num_decodes=num_decodes)
        is_full = view.num_blocks - view.free_blocks >= self.full * view.num_blocks
        batches = self.batches_when_full if is_full else self.batches
        last_s: Floats = view.pending_since_s[of.decodes] + view.slo_tpot_s[of.decodes] - batches * batch_s
        return last_s
