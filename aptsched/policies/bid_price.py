"""Bid prices: requests are accepted, held in memory and sent to the host by what their time on the machine is worth."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from aptsched.knapsack.greedy import greedy
from aptsched.knapsack.warm_up import warm_up
from aptsched.policies.arithmetic_slack import tokens_due
from aptsched.policies.backlog_price import BacklogPrice, accepted
from aptsched.policies.composition import NOT_OFFERED, Select, compose, forms_table, get_compose_ready, next_blocks
from aptsched.policies.form_charges import worthwhile
from aptsched.policies.form_choice import FORM_SETS, decode_s, on_offer
from aptsched.policies.option_checks import check_span
from aptsched.policies.outlook import LEAST_CHUNK, Outlook, arrivals_cost_s, outlook
from aptsched.policies.output_survival import OutputSurvival
from aptsched.policies.queue import blocks_of, decode_holds, leading, leading_at_least, too_large
from aptsched.policies.reordered import also_rejecting, placed
from aptsched.policies.service_value import ServiceValue
from aptsched.problem.batch_problem import BatchProblem
from aptsched.scheduling.forms import KV, NONE, CacheForm
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View, derived
from aptsched.support.arrays import all_of, any_of, count_of, largest_of, pairwise_sum, sum_of
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

WINDOW = 300  # requests that arrived last, by which the price is made
MARGIN = 1.2  # times the predicted time of an iteration has to be within the tightest deadline, as in QoServe
LATE = "its first token would come after its objective"
DEAR = "at this backlog it takes more of the machine's time than its objectives are worth"


@dataclass(eq=False)
class BidPrice:
    """Ours: who is worth its time on the machine is accepted; who has slack makes room for others in a pause.

    Every iteration is a `BatchProblem` over all who run, wait, or are on the host, with values in seconds of the whole
    machine (`ServiceValue`). Each waits for a token that is due (`Outlook`): who is ahead of it, as decodes mostly are,
    can pause without harm. So when blocks are short for who has no slack, such as a request that has just arrived, who
    has most and needs the machine longest leaves, and comes back in time: from the host, or computed anew, whichever
    takes the machine less. A request is accepted when it can make its first token, has room, and costs less than it is
    worth (`BacklogPrice`): fewer dear ones are, the more is to be done. Others wait while that may change before they
    are late: until they have to begin, the backlog falls by that time at most. Prompts go beside decodes, as many of
    their tokens as these leave multiplication idle for (`arithmetic_slack`): more only where first tokens are due
    sooner than that allows, and never more than leave the tightest deadline.

    Parameters
    ----------
    select : callable, BatchProblem -> Selection
        Solves the problem. It is not called where all requests fit.
    forms : str
        Forms of cache that requests may be given, as in `AptServe`; those are offered in which a full pool serves more.
    reject : bool
        Whether those are rejected that are late, or too dear. Otherwise they wait in the background, as do
        those that have missed a deadline: served where there is room, or when their patience ends.
    strength : float
        What a request is worth, in times of the mean cost, where what is to be done takes the machine as long as a
        request stays.
    overcommit : float
        How many times the blocks of the pool those that are accepted may take, with those that pause: pauses would take
        over. At most once where nobody can pause, as there is no host, and to compute anew takes time: who runs goes on
        there as long as the pool holds all of them.
    pause_s : float
        The longest pause between two tokens.
    patience_s : float
        From the arrival of a request in the background until it should be done.

    Notes
    -----
    Derived in docs/policy.md. The policy remembers lengths and arrivals: make a new object for each run.
    """

    select: Select = greedy
    forms: str = "kv"
    reject: bool = True
    strength: float = 2.5
    overcommit: float = 2.0
    pause_s: float = 9.0
    patience_s: float = 55.0

    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"forms": ("kv", *(name for name in FORM_SETS if name != "kv"))}

    def __post_init__(self) -> None:
        if not isinstance(self.forms, str) or self.forms not in FORM_SETS:
            raise InputError(f"forms: {shown(self.forms)} is not accepted; {', '.join(FORM_SETS)} are")
        if not callable(self.select):
            raise InputError(f"select: {shown(self.select)} is not accepted; a method that selects is")
        for name in ("strength", "overcommit"):
            if not 0 < getattr(self, name) <= 1e6:
                raise InputError(f"{name}: {shown(getattr(self, name))} is not accepted; above 0, up to 1e6, is")
        for name in ("pause_s", "patience_s"):
            check_span(name, getattr(self, name))
        warm_up(self.select)
        get_compose_ready()
        self._lengths, self._price = OutputSurvival(), BacklogPrice(self.strength)
        self._value, self._newest = ServiceValue(self.pause_s), -1
        self._arrived = deque[int](maxlen=WINDOW)  # prompts

    @property
    def wanted_forms(self) -> tuple[CacheForm, ...]:
        """The forms that it may give; lossy ones are offered only because they are named here."""
        return FORM_SETS[self.forms]

    def on_record(self, record: RequestRecord) -> None:
        """Learns how long outputs are."""
        self._lengths.add(record)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration, with its problem and certificate."""
        never = too_large(view)
        if not len(never):
            return self._composed(view) if len(view.num_tokens) else Plan()
        rows = np.delete(np.arange(len(view.num_tokens)), never)
        if not len(rows):
            return Plan(reject=never)
        plan = self._composed(derived(view, rows, free_blocks=view.free_blocks + blocks_of(view, never)))
        return also_rejecting(placed(plan, rows), never, [""] * len(never))

    def _composed(self, view: View) -> Plan:
        """The plan for requests of which the pool can hold each one."""
        offer = worthwhile(on_offer(view.cache, self.forms), view)
        of = self._outlook(view, offer[0])
        in_time = of.slack_s >= np.where(of.waiting, of.lead_s, 0.0)
        begun, overcommit = np.logical_not(of.new), self.overcommit
        if not can_pause(view, of):  # who was preempted there takes what is left
            begun, overcommit = np.logical_not(of.waiting), min(overcommit, 1.0)
        backlog_s, blocks = pairwise_sum(of.cost_s[begun]), next_blocks(view, view.num_tokens, offer[0])
        room = int(overcommit * view.num_blocks) - sum_of(
            np.where(of.waiting, blocks, view.num_held + view.num_swapped)[begun]
        )
        taken, worth_s = accepted(self._price, of.cost_s, backlog_s, of.new & in_time, blocks, room)
        turned_away = of.new & ~taken
        background = turned_away | ~in_time
        patience_s = view.arrived_at_s + self.patience_s - view.now_s - of.duration_s
        slack_s = np.where(background, patience_s, of.slack_s) - of.paced_s
        ends = self._lengths.ends_within(view.num_prompt_tokens, of.generated, self.pause_s / of.iteration_s)
        value_s = self._value.seconds(view, of, slack_s, ends, worth_s)
        rows = candidates(view, of, value_s, turned_away if self.reject else np.zeros_like(turned_away))
        plan = self._answered(view, of, rows, value_s[rows], self._chunk(view, of, background), offer)
        lasts = len(plan.request) == len(view.num_tokens) and all_of(of.running)
        plan = replace(plan, holds=decode_holds(view, plan.request) if lasts else 0)
        return self._telling(view, of, plan, turned_away, backlog_s) if self.reject and any_of(turned_away) else plan

    def _telling(self, view: View, of: Outlook, plan: Plan, turned_away: Bools, backlog_s: float) -> Plan:
        """The plan, with the rejection of those turned away who will be late, or too dear, at any decision to come.

        The next decision is after this iteration. Until a request has to begin, the backlog falls by that time at most.
        """
        left_s = of.slack_s - of.lead_s
        late = left_s < plan_s(view, plan)
        dear = of.cost_s > self._price.worth_s(backlog_s - left_s)
        reject = (turned_away & (late | dear)).nonzero()[0]
        return also_rejecting(plan, reject, [LATE if is_late else DEAR for is_late in late[reject].tolist()])

    def _outlook(self, view: View, form: int) -> Outlook:
        """The outlook; requests that have arrived are taken note of."""
        self._lengths.update(view.num_prompt_tokens, view.num_tokens - view.num_prompt_tokens)
        of = outlook(view, self._lengths, form)
        new = view.request_id > self._newest
        if any_of(new):
            self._arrived.extend(view.num_prompt_tokens[new].tolist())
            self._newest = largest_of(view.request_id)
            prompts = np.array(self._arrived)
            self._price = self._price.of_arrivals(*arrivals_cost_s(view, self._lengths, form, prompts, of.iteration_s))
        return of

    def _chunk(self, view: View, of: Outlook, background: Bools) -> int:
        """Tokens of all prompts of this iteration.

        Beside decodes as many as these leave multiplication for, or as first tokens need that are due; but no more than
        leave the tightest deadline of those that run.
        """
        decoding = of.running & (of.generated > 0)
        tight_s = float(of.slack_s[decoding & ~background].min(initial=np.inf))
        num_context = sum_of(view.num_cached[of.running])
        within = view.times.prompt_tokens_within(tight_s / MARGIN, num_context, None, count_of(of.running))
        if of.slack_tokens and any_of(decoding):
            first = ((of.generated == 0) & ~background).nonzero()[0]
            due = tokens_due(view.num_remaining[first], of.slack_s[first], MARGIN * of.iteration_s)
            within = min(within, max(due, of.slack_tokens))
        chunk = max(within, LEAST_CHUNK)
        return int(max(1, min(chunk, view.max_tokens - count_of(~of.waiting))))

    def _answered(
        self, view: View, of: Outlook, rows: Ints, value_s: Floats, chunk: int, offer: tuple[int, ...]
    ) -> Plan:
        """The problem's answer as a plan; of those not served as few leave the pool as blocks need."""
        if not len(rows):
            return Plan()
        fed = np.minimum(view.num_remaining[rows], chunk)
        values, weights = self._options(view, of, rows, value_s, offer)
        max_tokens = min(view.max_tokens, chunk + count_of(~of.waiting))
        stay = None if can_pause(view, of) else required(view, of.running[rows], weights, fed, max_tokens)
        problem = BatchProblem.unchecked(values, weights, view.num_blocks, fed, max_tokens, view.max_seqs, stay)
        selection = compose(problem, self.select)
        served = selection.form > 0
        request, fed, form = rows[served], fed[served], selection.form[served]
        stored = np.where(of.waiting[request], view.num_tokens[request], view.num_cached[request] + fed)
        more = np.maximum(view.cache.blocks_by_form(stored, form) - view.num_held[request], 0)
        short, preempt, swap_out = sum_of(more) - view.free_blocks, nothing(), nothing()
        if short > 0:
            idle = (~served & of.running[rows]).nonzero()[0]
            idle = idle[np.argsort(value_s[idle] / view.num_held[rows[idle]], kind="stable")]
            preempt, swap_out = pausing(view, of, rows[idle], short)
        return Plan(
            request,
            fed,
            form,
            preempt=preempt,
            swap_out=swap_out,
            swap_in=request[of.away[request]],
            problem=problem,
            selection=selection,
            candidates=rows,
        )

    def _options(
        self, view: View, of: Outlook, rows: Ints, value_s: Floats, offer: tuple[int, ...]
    ) -> tuple[Floats, Ints]:
        """Values and weights of the forms, [r, f]: their own for those that have a cache, else all on offer.

        A form that takes longer to read is charged for that, in every iteration that is left.
        """
        own, num_tokens = view.form[rows], view.num_tokens[rows]
        blocks = next_blocks(view, num_tokens, KV)
        blocks_kv = blocks
        if largest_of(own) <= KV and offer == (KV,):
            return value_s[:, None], np.where(of.running[rows], view.cache.blocks(num_tokens, KV), blocks)[:, None]
        forms = np.arange(KV, max(*offer, largest_of(own)) + 1)
        offered = (own == forms[:, None]) | ((own == NONE) & np.isin(forms, offer)[:, None])
        in_form = np.array(
            [next_blocks(view, num_tokens, form) if view.cache.offers(form) else blocks_kv for form in forms.tolist()]
        )
        added_s = np.array(view.times.added_s_per_block)[forms]
        least_s = added_s[np.isin(forms, offer)].min()
        left = of.duration_s[rows] / of.iteration_s
        charges_s = np.where(own == NONE, (added_s - least_s)[:, None] * left * blocks_kv, 0.0)
        return forms_table(value_s, charges_s, in_form, offered)


def pausing(view: View, of: Outlook, last: Ints, short: int) -> tuple[Ints, Ints]:
    """Rows to preempt, to be computed anew, and rows to swap out: of the last rows as few as free the blocks short.

    Each by what takes the machine less; those that the host has no room for are preempted too.
    """
    last = last[: leading_at_least(view.num_held[last], short)]
    anew = of.recompute_s[last] < of.swap_s[last]
    swapped = last[~anew]
    count = leading(view.num_held[swapped], view.free_host_blocks)
    return np.concatenate([last[anew], swapped[count:]]), swapped[:count]


def can_pause(view: View, of: Outlook) -> bool:
    """Whether those that run can make room for others: on the host, or as it takes no time to compute them anew."""
    return view.num_host_blocks > 0 or of.slack_tokens > 0


def required(view: View, running: Bools, weights: Ints, fed: Ints, max_tokens: int) -> Bools | None:
    """Those that run, [r], if all of them can go on, where nobody can pause for others. None if they cannot."""
    blocks, tokens = sum_of(weights[running].min(axis=1, initial=NOT_OFFERED)), sum_of(fed[running])
    fits = blocks <= view.num_blocks and tokens <= max_tokens and count_of(running) <= view.max_seqs
    return running if fits else None


def candidates(view: View, of: Outlook, value_s: Floats, turned_away: Bools) -> Ints:
    """Rows of those that hold blocks, and of those that wait as many as an iteration may have, the most worth a token.

    Those turned away are left out.
    """
    staying = np.logical_not(turned_away)
    waiting = (of.waiting & staying).nonzero()[0]
    if len(waiting) > view.max_seqs:
        density = value_s[waiting] / view.num_tokens[waiting]
        staying[waiting[np.argpartition(density, -view.max_seqs)[: -view.max_seqs]]] = False
    return staying.nonzero()[0]


def plan_s(view: View, plan: Plan) -> float:
    """Seconds that the iteration of a plan is believed to take."""
    num_moved = sum_of(view.num_held[plan.swap_out]) + sum_of(view.num_swapped[plan.swap_in])
    return decode_s(view, plan.request, plan.form, plan.num_tokens) + view.times.swap_s_per_block * num_moved
