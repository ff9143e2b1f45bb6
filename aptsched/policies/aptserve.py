"""Apt-Serve: iteration type by pending times, then the batch-composition problem on a hybrid cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from aptsched.knapsack.greedy import greedy
from aptsched.knapsack.warm_up import warm_up
from aptsched.policies.composition import Select, all_served, compose, get_compose_ready, next_blocks
from aptsched.policies.form_charges import CHARGES
from aptsched.policies.form_choice import FORM_SETS, decode_s, on_offer, own_blocks
from aptsched.policies.form_values import FormValues
from aptsched.policies.lasting import lasting_decode
from aptsched.policies.option_checks import check_watermark
from aptsched.policies.queue import entries, fed_to_all, leading, leading_at_least, survivors, without_cache
from aptsched.policies.scheduling_value import FALLBACKS, longer_pending, scheduling_value
from aptsched.policies.survey import Survey, get_survey_ready, survey
from aptsched.problem.batch_problem import BatchProblem
from aptsched.scheduling.forms import KV, NONE, CacheForm
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.arrays import any_of, smallest_of, sum_of
from aptsched.support.checks import Ints
from aptsched.support.constant import all_true, constant
from aptsched.support.errors import InputError
from aptsched.support.lazy import lazy
from aptsched.support.quick_init import changed
from aptsched.support.shown import shown


@dataclass(frozen=True)
class AptServe:
    """As Apt-Serve: prefill if the waiting requests have been pending for longer than the running ones, else decode.

    A prefill solves a `BatchProblem` over the waiting requests to decide which are admitted, and in which form:
    definition 1 with the blocks, the token budget and the sequence limit that running ones leave. A decode feeds all
    running requests, and its problem decides which hidden ones are promoted. If blocks or budgets run out, the problem
    also decides which requests go on; of the others the least valuable are preempted, as few as blocks need. If a
    prefill admits none, all running requests decode. A request that the pool can never hold in any offered form is
    rejected; one that has outgrown the pool in its form is preempted, and may be admitted in another.

    Parameters
    ----------
    select : callable, BatchProblem -> Selection
        Solves the problem. It is not called where all requests fit in their best forms.
    order : str
        "value", or "fcfs" for comparison: prefill first, admit in order of arrival as many as fit in their lightest
        forms, preempt the latest; the problem then only chooses forms.
    forms : str
        Forms given to admitted requests: "hybrid" (KV and hidden), or "kv" or "hidden" alone; with "int8", alone or as
        "kv+int8" or "hybrid+int8", and with "keys", alone or as "kv+keys", also the lossy form of that name. A form
        that takes as much as KV is never given.
    fallback : str
        Value of a request that misses its objective: "paper" (near zero), "decaying", "none" (see `scheduling_value`).
    promote : bool
        Whether running hidden requests may become KV; never with the forms "hidden".
    watermark : float
        Share of the pool that admission leaves free.
    charge : str
        What a value is charged for a form of cache: "paper", for the next iteration; "lifetime", for all iterations
        that the request is expected to stay in it (`charged_for_life`), by the lengths of outputs seen so far.

    Notes
    -----
    Source: Gao et al., Apt-Serve (SIGMOD 2025), sections 4.2 and 5. A request's value is its pending time, less U rho m
    with a hidden cache, where U is the number of unfinished requests.

    Departures:

    - The iteration type compares pending times as they are now, as in the paper; values are taken at the end of the
      planned iteration, so that a request that arrived just now has a value above 0. An objective that has passed by
      then counts as missed. At equal pending times it prefills.
    - Hidden states become K and V in place, without a new prefill. With the paper's forms a running request changes its
      form in no other way, unless it has outgrown the pool. Rebuilding is charged only where the request could also
      have KV, and never decides whether a request runs as long as all running ones fit.
    - Weights of admitted requests include the token after the next one. The blocks that running requests need for their
      next tokens, and a watermark as in vLLM, are set aside, so the next decode need not preempt what came in.
    - When blocks run out, promotion is still possible. A request whose hidden form is worth nothing, as its rebuilding
      costs the others more, and that is not promoted either, is not fed: it keeps its blocks until they are needed.
    - A prompt beyond the token budget is admitted with a chunk of it, and its blocks; decodes go beside the rest.
    - Int8 is our addition: its extra time is charged like that of hidden states. When blocks run out, a running KV
      request may be compressed to it in place, if that frees blocks; it stays int8 until it is preempted. Keys are
      another: they are charged as KV, and a request turned to them may become KV again: by the charge of the paper as
      often as blocks come and go, seldom by that for life.
    - Charges for life are ours. Where hidden states add no time to an iteration, nothing is given KV or promoted to it:
      it would take more blocks for nothing. Where they do, a promotion is made with blocks that nobody needs, if over
      the expected life it saves more than it takes; blocks for it are not taken from anybody. A running request goes
      back from KV by being preempted and admitted anew. By the charge of the paper, which a promotion ends at no cost,
      whatever is admitted in hidden form is promoted as soon as blocks are there.
    - "decaying" is our reading of Scheduling*, whose factor is not printed.
    """

    select: Select = greedy
    order: str = "value"
    forms: str = "hybrid"
    fallback: str = "paper"
    promote: bool = True
    watermark: float = 0.01
    charge: str = "paper"

    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "order": ("value", "fcfs"),
        "forms": tuple(FORM_SETS),
        "fallback": FALLBACKS,
        "charge": CHARGES,
    }

    def __post_init__(self) -> None:
        for name, choices in self.choices.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise InputError(f"{name}: {shown(value)} is not accepted; {', '.join(choices)} are")
        if not callable(self.select):
            raise InputError(f"select: {shown(self.select)} is not accepted; a method that selects is")
        check_watermark(self.watermark)
        warm_up(self.select)
        get_compose_ready()
        get_survey_ready()

    @property
    def wanted_forms(self) -> tuple[CacheForm, ...]:
        """The forms that it may give; lossy ones are offered only because they are named here."""
        return FORM_SETS[self.forms]

    @lazy
    def _form_values(self) -> FormValues:
        return FormValues(self.forms, self.charge, self.promote)

    def on_record(self, record: RequestRecord) -> None:
        """Learns how long outputs are."""
        self._form_values.lengths.add(record)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration, with its problem and certificate."""
        found = survey(view)
        if view.cache.blocks(found.longest, KV) <= view.num_blocks:
            return self._compose(view, found)
        reject, outgrown = self._beyond_the_pool(view)
        view = without_cache(view, np.concatenate([reject, outgrown]))
        found = survey(view)
        plan = self._compose(view, found._replace(waiting=np.setdiff1d(found.waiting, reject)))
        return replace(plan, reject=reject, preempt=np.concatenate([outgrown, plan.preempt]))

    def _beyond_the_pool(self, view: View) -> tuple[Ints, Ints]:
        """Rows that the pool can hold in no offered form, and running rows that it can no longer hold in their own."""
        never = view.cache.blocks(view.num_tokens, on_offer(view.cache, self.forms)[-1]) > view.num_blocks
        outgrown = ~never & (view.cache.blocks_by_form(view.num_tokens, view.form) > view.num_blocks)
        return np.flatnonzero(never), np.flatnonzero(outgrown)

    def _compose(self, view: View, found: Survey) -> Plan:
        """A prefill if it is one's turn and it admits any request, else a decode."""
        plan = self._prefill(view, found) if len(found.waiting) else None
        if plan is not None:
            return plan
        plan = self._decode(view, found)
        promotes = self.promote and KV in self._form_values.offered(view)
        lightest = on_offer(view.cache, self.forms)[-1]
        holds = lasting_decode(plan, view, found, lightest, self.watermark, promotes)
        return changed(plan, holds=holds) if holds else plan

    def _prefill(self, view: View, found: Survey) -> Plan | None:
        """The plan that admits waiting requests; None where it would admit none, or a decode goes first."""
        lightest, in_order = on_offer(view.cache, self.forms)[-1], self.order == "fcfs"
        running, waiting = found.running, found.waiting
        num_tokens = view.num_tokens[waiting]
        least = view.cache.blocks(smallest_of(num_tokens), lightest)
        capacity, max_seqs = view.free_blocks, min(view.max_seqs, view.max_tokens) - len(running)
        if len(running):
            capacity -= int(self.watermark * view.num_blocks)
        if least > capacity or max_seqs <= 0 or not (in_order or longer_pending(view, waiting, running)):
            return None
        if len(running):
            capacity -= found.growth
            if least > capacity:
                return None
        rows, num_tokens = (waiting[:max_seqs], num_tokens[:max_seqs]) if in_order else (waiting, num_tokens)
        fed, blocks = np.minimum(num_tokens, view.max_tokens), next_blocks(view, num_tokens, lightest)
        if in_order:
            some = np.arange(min(leading(blocks, capacity), leading(fed, view.max_tokens)))
        else:
            some = (blocks <= capacity).nonzero()[0]
        if not len(some):
            return None
        rows, fed = rows[some], fed[some]
        problem = self._of_waiting(view, rows, fed, blocks[some], capacity, max_seqs)
        if problem is None:
            return None
        plan = self._answered(view, rows, fed, problem)
        return plan if len(plan.request) else None

    def _of_waiting(
        self, view: View, rows: Ints, fed: Ints, blocks: Ints, capacity: int, max_seqs: int
    ) -> BatchProblem | None:
        """The problem of admission; `blocks` are those of the lightest forms. None if no value is above 0."""
        lightest = on_offer(view.cache, self.forms)[-1]
        num_tokens = min(sum_of(fed), view.max_tokens, capacity * view.cache.per_block[lightest])
        value_s = scheduling_value(view, rows, view.times.predict(num_tokens), self.fallback)
        values, weights = self._form_values.of_waiting(view, rows, value_s, blocks)
        required = all_true(len(rows)) if self.order == "fcfs" else None
        if required is None and not any_of((values > 0) & (weights <= capacity)):
            return None
        return BatchProblem.unchecked(values, weights, capacity, fed, view.max_tokens, max_seqs, required)

    def _decode(self, view: View, found: Survey) -> Plan:
        """Feed all running requests; if blocks or budgets run out, only the most valuable or, by order, the first."""
        running, plan = found.running, None
        if not len(running):
            return Plan()
        fed = constant(1, len(running)) if found.most_fed == 1 else fed_to_all(view, running)
        if len(running) <= min(view.max_tokens, view.max_seqs):
            plan = self._all(view, running, found.forms(view), fed, found.blocks, view.num_blocks)
        if plan is not None:
            return plan
        if self.order == "value":
            return self._best(view, running, fed)
        going, preempt = survivors(view, running, view.free_blocks)
        _, fed, _ = entries(view, going)
        room = view.free_blocks + sum_of(view.num_held[np.concatenate([preempt, going])])
        own = view.form[going]
        plan = self._all(view, going, own, fed, own_blocks(view, going, own), room)
        assert plan is not None
        return replace(plan, preempt=preempt)

    def _all(self, view: View, rows: Ints, own: Ints, fed: Ints, blocks: Ints, room: int) -> Plan | None:
        """Feed all of the rows, and promote with what is left beside the `blocks` that they need for their next tokens.

        None where `room` blocks are not enough for all.
        """
        num_blocks = sum_of(blocks)
        spare = room - num_blocks
        if spare < 0:
            blocks = view.cache.blocks_by_form(view.num_cached[rows] + fed, own)
            num_blocks = sum_of(blocks)
            if num_blocks > room:
                return None
        problem = self._of_running(view, rows, own, fed, blocks, room, spare, all_run=True)
        if problem.num_forms > 1:
            return self._answered(view, rows, fed, problem)
        form = constant(KV, len(rows))  # the only form, so there is no choice
        selection = all_served(form, problem.values[:, 0], num_blocks, sum_of(fed))
        return Plan(rows, fed, form, problem=problem, selection=selection, candidates=rows)

    def _best(self, view: View, rows: Ints, fed: Ints) -> Plan:
        """Feed and convert the best of the rows; of the others preempt the least valuable, as few as blocks need."""
        held, own, room = view.num_held[rows], view.form[rows], view.num_blocks
        blocks = view.cache.blocks_by_form(view.num_cached[rows] + fed, own)
        problem = self._of_running(view, rows, own, fed, blocks, room, room, all_run=False)
        plan = self._answered(view, rows, fed, problem)
        assert plan.selection is not None
        idle = np.flatnonzero(plan.selection.form == 0)
        idle = idle[np.argsort(problem.values[idle, 0], kind="stable")]  # by KV's column, the value without charges
        short = plan.selection.num_blocks + sum_of(held[idle]) - room
        return replace(plan, preempt=rows[idle[: leading_at_least(held[idle], short)]])

    def _of_running(
        self, view: View, rows: Ints, own: Ints, fed: Ints, blocks: Ints, room: int, spare: int, all_run: bool
    ) -> BatchProblem:
        """The problem of running requests: keep the form, become KV within `spare` blocks, shrink if not all run."""
        value_s = scheduling_value(view, rows, decode_s(view, rows, own, fed), self.fallback)
        values, weights = self._form_values.of_running(view, rows, value_s, blocks, spare, all_run)
        required = all_true(len(rows)) if all_run else None
        return BatchProblem.unchecked(values, weights, room, fed, view.max_tokens, view.max_seqs, required)

    def _answered(self, view: View, rows: Ints, fed: Ints, problem: BatchProblem) -> Plan:
        """The problem's answer as a plan; a running request whose chosen form is another one is converted."""
        selection = compose(problem, self.select)
        served = selection.form.nonzero()[0]
        chosen, form, convert, convert_to = rows, selection.form, nothing(), nothing()
        if len(served) < len(rows):
            chosen, fed, form = rows[served], fed[served], form[served]
        if problem.num_forms > 1:
            own = view.form[chosen]
            turned = (own != NONE) & (own != form)
            convert, convert_to = chosen[turned], form[turned]
        return Plan(
            chosen,
            fed,
            form,
            convert=convert,
            convert_to=convert_to,
            problem=problem,
            selection=selection,
            candidates=rows,
        )
