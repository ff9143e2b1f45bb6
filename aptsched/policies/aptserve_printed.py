"""Apt-Serve as it is printed: the published method without the departures of `AptServe`, for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from aptsched.knapsack.algorithm1_fitted import algorithm1_fitted
from aptsched.policies.composition import compose, get_compose_ready
from aptsched.policies.form_choice import on_offer
from aptsched.policies.queue import decode_holds, fed_to_all, growth, without_cache
from aptsched.policies.scheduling_value import FALLBACKS, longer_pending, scheduling_value
from aptsched.problem.batch_problem import BatchProblem
from aptsched.scheduling.forms import KV, CacheForm
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.view import View
from aptsched.support.arrays import all_of, any_of, smallest_of, sum_of
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown


@dataclass(frozen=True)
class AptServePrinted:
    """Apt-Serve as printed, for comparison: forms are chosen anew at every decode, and changed by a new prefill.

    A prefill if the waiting requests have been pending for as long as the running ones or longer, in sum, and Algorithm
    1 admits any of them to the free blocks; else a decode, in which Algorithm 1 chooses among all running requests, in
    both forms, against the whole pool. Who is chosen in its own form decodes. All others lose their cache and wait:
    those that are not chosen, and those that are chosen in the other form, which need another prefill.

    Parameters
    ----------
    forms : str
        Forms on offer: "hybrid" (KV and hidden), or "kv" alone.
    fallback : str
        Value of a request that misses its objective: "paper" (near zero), "decaying", "none" (see `scheduling_value`).

    Notes
    -----
    Source: Gao et al., Apt-Serve (SIGMOD 2025), sections 4.2 and 5, and the appendix "Greedy Scheduling". Values are
    pending times as they are now, less U rho m for hidden states that are rebuilt in every iteration, whatever the
    engine does; U counts all unfinished requests. Nothing is promoted in place, and no blocks are set aside for the
    next tokens of running requests.

    Assumptions, where the paper says nothing:

    - m are the whole blocks of all tokens so far, which are cached after the iteration. `algorithm1_fitted` says how
      Algorithm 1 is carried out in whole blocks and within a token budget and a limit on sequences.
    - A running request that is not chosen is preempted even if its blocks would be free.
    - A form is chosen again when a preempted request is prefilled, so it may be the one that it had. Where no running
      request keeps its form, the iteration is a prefill of all requests.
    - A request that the pool cannot hold with a KV cache is not charged for its hidden form, and one that it cannot
      hold in any form is rejected.
    - A prompt is prefilled whole, but one that is longer than the token budget: that is fed a chunk of the whole
      budget, its other blocks are set aside, and the rest is fed beside decodes, which is all the budget allows.
    - A request that was late with any token so far counts as one that missed its objective.
    - "decaying" is our reading of Scheduling*, whose factor is not printed.
    """

    forms: str = "hybrid"
    fallback: str = "paper"

    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"forms": ("hybrid", "kv"), "fallback": FALLBACKS}

    def __post_init__(self) -> None:
        for name, choices in self.choices.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise InputError(f"{name}: {shown(value)} is not accepted; {', '.join(choices)} are")
        get_compose_ready()

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration, with its problem and certificate."""
        lightest = on_offer(view.cache, self.forms)[-1]
        never = np.flatnonzero(view.cache.blocks(view.num_tokens, lightest) > view.num_blocks)
        if len(never):
            view = without_cache(view, never)
        running, waiting = np.flatnonzero(view.running), np.flatnonzero(~view.running)
        if len(never):
            waiting = np.setdiff1d(waiting, never)
        plan = self._prefill(view, waiting, running) if longer_pending(view, waiting, running) else None
        if plan is None:
            plan = self._decode(view, waiting, running)
        return replace(plan, reject=never, holds=0) if len(never) else plan

    def _prefill(self, view: View, waiting: Ints, running: Ints) -> Plan | None:
        """The plan that admits waiting requests to the free blocks; None where it would admit none."""
        max_seqs = min(view.max_seqs, view.max_tokens) - len(running)
        if not len(waiting) or max_seqs <= 0:
            return None
        capacity = view.free_blocks
        begun = running[view.num_remaining[running] > 1]
        if len(begun):
            capacity = max(0, capacity - sum_of(growth(view, begun, view.num_remaining[begun])))
        num_tokens = view.num_tokens[waiting]
        if view.cache.blocks(smallest_of(num_tokens), on_offer(view.cache, self.forms)[-1]) > capacity:
            return None
        fed = np.minimum(num_tokens, view.max_tokens)
        problem = self._problem(view, waiting, len(waiting) + len(running), fed, capacity, max_seqs)
        selection = compose(problem, algorithm1_fitted)
        served = selection.form.nonzero()[0]
        if not len(served):
            return None
        entries = (waiting[served], fed[served], selection.form[served])
        return Plan(*entries, problem=problem, selection=selection, candidates=waiting)

    def _decode(self, view: View, waiting: Ints, running: Ints) -> Plan:
        """Feed those that are chosen in their own form, and preempt the others; a prefill where there are none."""
        if not len(running):
            return Plan()
        fed = fed_to_all(view, running)
        problem = self._problem(view, running, len(waiting) + len(running), fed, view.num_blocks, view.max_seqs)
        selection = compose(problem, algorithm1_fitted)
        own = view.form[running]
        keeps = selection.form == own
        if all_of(keeps):
            holds = self._holds(view, waiting, running)
            return Plan(running, fed, own, problem=problem, selection=selection, candidates=running, holds=holds)
        preempt = running[~keeps]
        if not any_of(keeps):
            plan = self._prefill(without_cache(view, preempt), np.union1d(waiting, running), nothing())
            assert plan is not None, "any request that the pool can hold fits in an empty one"
            return replace(plan, preempt=preempt)
        as_chosen = running if np.array_equal(keeps, selection.form > 0) else nothing()  # not where a form changes
        entries = (running[keeps], fed[keeps], own[keeps])
        return Plan(*entries, preempt=preempt, problem=problem, selection=selection, candidates=as_chosen)

    def _holds(self, view: View, waiting: Ints, running: Ints) -> int:
        """`Plan.holds` of a decode of all running requests in their own form: while all have KV, and nobody has room.

        As long as there are blocks for all, all are chosen in KV form, the dearest: the gap is 0. Who waits may become
        more urgent, but no smaller, and free blocks only become fewer.
        """
        if any_of(view.form[running] != KV):
            return 0
        if len(waiting) and len(running) < min(view.max_seqs, view.max_tokens):
            least = view.cache.blocks(smallest_of(view.num_tokens[waiting]), on_offer(view.cache, self.forms)[-1])
            if least <= view.free_blocks - sum_of(growth(view, running, np.ones_like(running))):
                return 0
        return decode_holds(view, running)

    def _problem(
        self, view: View, rows: Ints, num_unfinished: int, fed: Ints, capacity: int, max_seqs: int
    ) -> BatchProblem:
        """Definition 1 over these rows, [r], with what an iteration may hold beside memory."""
        value_s = scheduling_value(view, rows, 0.0, self.fallback)
        num_tokens = view.num_tokens[rows]
        blocks = view.cache.blocks(num_tokens, KV)
        if CacheForm.HIDDEN in on_offer(view.cache, self.forms):
            rebuilt_s = np.where(
                blocks <= view.num_blocks, num_unfinished * view.times.rebuild_s_per_block * blocks, 0.0
            )
            values = np.array([value_s, value_s - rebuilt_s]).T
            weights = np.array([blocks, view.cache.blocks(num_tokens, CacheForm.HIDDEN)]).T
        else:
            values, weights = value_s[:, None], blocks[:, None]
        return BatchProblem.unchecked(values, weights, capacity, fed, view.max_tokens, max_seqs)
