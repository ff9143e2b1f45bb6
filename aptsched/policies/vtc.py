"""Fair shares by tenant: the virtual token counter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.fcfs import FCFS
from aptsched.policies.option_checks import check_watermark
from aptsched.policies.reordered import decide_in_order
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.arrays import above_0, smallest_of
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown


@dataclass(eq=False)
class VTC:
    """As VTC: the next prompt is of the tenant that had the fewest tokens so far, weighted; each tenant by arrival.

    A tenant's counter grows by its prompt's tokens when a request is admitted, and by each output token, times their
    weights. While prompts are admitted, the next is the earliest of the tenant with the least counter; the first that
    is not admitted holds up all others. A tenant that had nobody waiting and has now is lifted to the least counter of
    those that had, so that it has no claim on time in which it asked for nothing. All else is as `fcfs`: whole prompts
    first, then decodes; when blocks run out the latest arrivals are preempted.

    Parameters
    ----------
    input_weight, output_weight : float
        Of a prompt's token and of an output token.
    watermark : float
        Share of the pool that admission leaves free.

    Notes
    -----
    Source: Sheng et al., Fairness in Serving Large Language Models (OSDI 2024), algorithm 2, and the authors' code:
    weights, the lift, and that admission stops at the first misfit. Between two tenants that have requests waiting all
    the time, served tokens, weighted, differ by at most 2 max(input_weight L, output_weight M), with prompts of up to L
    tokens and M tokens of memory (theorem 4.4), as long as nobody is preempted.

    Departures: the code admits by the largest output that each request may have, and so never preempts; that is not
    known here, and memory is as in `fcfs`. The code looks for new requests every ten decodes and does not count the
    first output token; here every iteration does, and each token counts. A prompt counts once, preempted or not. With
    one tenant this is `fcfs`. The policy remembers counters: make a new object for each run.
    """

    input_weight: float = 1.0
    output_weight: float = 2.0
    watermark: float = 0.01

    def __post_init__(self) -> None:
        check_watermark(self.watermark)
        for name in ("input_weight", "output_weight"):
            if not 0 < getattr(self, name) <= 1e9:
                raise InputError(
                    f"{name}: {shown(getattr(self, name))} is not accepted; a number above 0, up to 1e9, is"
                )
        self._base: dict[int, float] = {}  # of each tenant's counter: lifts, and what ended requests were served
        self._queued: set[int] = set()  # tenants who had requests waiting after the last decision

    def on_record(self, record: RequestRecord) -> None:
        """Keeps what a request was served in its tenant's counter, now that it has ended."""
        if record.num_output_tokens:
            served = self.input_weight * record.num_prompt_tokens + self.output_weight * record.num_output_tokens
            self._base[record.tenant] = self._base.get(record.tenant, 0.0) + served

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        policy, waiting = FCFS(self.watermark), np.flatnonzero(~view.running)
        if not len(waiting):
            self._queued = set()
            plan = policy.decide(view)
            return replace(plan, holds=0) if len(plan.preempt) else plan
        order, num_tenants = self._order(view, waiting)
        plan = decide_in_order(policy, view, np.concatenate([np.flatnonzero(view.running), order]))
        left = np.concatenate([waiting[~np.isin(waiting, plan.request)], plan.preempt])
        self._queued = set(view.tenant[left].tolist())
        lasts = (num_tenants == 1 or self._is_full(view, waiting)) and not len(plan.preempt)
        return plan if lasts else replace(plan, holds=0)

    def _is_full(self, view: View, waiting: Ints) -> bool:
        """Whether none of the waiting requests can be admitted as long as nothing happens, in whatever order."""
        if len(view.num_tokens) - len(waiting) >= view.max_seqs:
            return True
        least = view.cache.blocks(smallest_of(view.num_tokens[waiting]), KV)
        return least > view.free_blocks - int(self.watermark * view.num_blocks)

    def _order(self, view: View, waiting: Ints) -> tuple[Ints, int]:
        """The waiting requests in the order in which they are admitted, and the number of unfinished tenants.

        To take a request of the least counter, again and again, is to sort by the counter that its tenant has then.
        """
        tenants, of = np.unique(view.tenant, return_inverse=True)
        output = view.num_tokens - view.num_prompt_tokens
        begun = view.running | above_0(output) | above_0(view.num_preemptions) | above_0(view.num_swapped)
        counter = self._counters(view, tenants, of, begun, output)
        of, cost = of[waiting], np.where(begun[waiting], 0, view.num_prompt_tokens[waiting]) * self.input_weight
        self._lift(tenants, counter, of)
        grouped = np.argsort(of, kind="stable")
        before = np.cumsum(cost[grouped]) - cost[grouped]
        first = np.searchsorted(of[grouped], of[grouped])
        at = np.empty(len(of))
        at[grouped] = counter[of[grouped]] + before - before[first]
        return waiting[np.argsort(at, kind="stable")], len(tenants)

    def _counters(self, view: View, tenants: Ints, of: Ints, begun: Bools, output: Ints) -> Floats:
        """The counter of each tenant, [t]; `of` is the place of each request's tenant among them, [n]."""
        base = np.array([self._base.get(tenant, 0.0) for tenant in tenants.tolist()])
        served = self.input_weight * np.where(begun, view.num_prompt_tokens, 0) + self.output_weight * output
        counter: Floats = base + np.bincount(of, served, len(tenants))
        return counter

    def _lift(self, tenants: Ints, counter: Floats, of: Ints) -> None:
        """Raises the counters, [t], of tenants that have somebody waiting and had nobody; `of` those who wait, [w]."""
        had = np.array([tenant in self._queued for tenant in tenants.tolist()])
        stayed, came = of[had[of]], np.unique(of[~had[of]])
        least = counter[stayed].min() if len(stayed) else counter[of[0]]  # the first that came is not lifted then
        for place in came[counter[came] < least].tolist():
            self._base[int(tenants[place])] = self._base.get(int(tenants[place]), 0.0) + least - counter[place]
            counter[place] = least
