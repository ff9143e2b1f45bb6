"""Rejects by first tokens as predicted, admits by decodes as predicted, decodes as often as is asked; as SCORPIO."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from aptsched.policies.due_times import due_s
from aptsched.policies.known_before import known_before
from aptsched.policies.option_checks import check_watermark
from aptsched.policies.output_lengths import OutputLengths
from aptsched.policies.prompt_queue import Sorted, beside_decodes, num_admitted, sorted_rows
from aptsched.policies.reordered import also_rejecting
from aptsched.policies.scorpio_guards import get_ready, latest_starts, num_in_pace
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.support import checks
from aptsched.support.arrays import all_of
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import row_by_row
from aptsched.support.errors import InputError

LATE = "its prompt, behind those that are due before, would take {late_s:.3g} s longer than its first token may"
WHOLE = 1 - 1e-9  # a credit of 1, but for rounding


@dataclass(eq=False)
class Scorpio:
    """As SCORPIO: rejects who is predicted to be late, admits as decodes keep their pace, decodes as often as needed.

    Who waits goes by when its first token is due. One whose prompt, behind those before it, is predicted to be done
    later than that is rejected. The others are admitted as long as an iteration with them is predicted to be within the
    tightest TPOT of all that run; a request of a looser TPOT counts, and is decoded, in as many iterations as that asks
    for. Beside the decodes prompts are fed in parts. When blocks run out, the latest arrivals are preempted.

    Parameters
    ----------
    max_chunk : int
        Most tokens of an iteration; the loop's token budget applies too.
    extra_s : float
        Added to the predicted time of prompts.
    factor : float
        By which the predicted time of an iteration is multiplied.
    margin : float
        Share of the tightest TPOT that it has to be below.
    watermark : float
        Share of the pool that admission leaves free.

    Notes
    -----
    Source: Tang et al., SCORPIO (arXiv 2505.23022), and its code: both guards, credits, budget 1024, 50 ms, 1.3, 0.99.

    Departures: the output of a request is predicted by what is expected from all so far, where SCORPIO has a model that
    was trained on prompts; times are the view's. Where nothing runs, the first is admitted. Requests that were
    preempted after their first token are not rejected. A request that the pool can never hold with a KV cache is
    rejected. The policy remembers credits and lengths: make a new object for each run.
    """

    max_chunk: int = 1024
    extra_s: float = 0.05
    factor: float = 1.3
    margin: float = 0.99
    watermark: float = 0.01
    _lengths: OutputLengths = field(default_factory=OutputLengths, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.max_chunk < 1:
            raise InputError(f"max_chunk: {self.max_chunk} is not accepted; at least 1 is")
        checks.seconds("extra_s", self.extra_s)
        for name in ("factor", "margin"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"{name}: {getattr(self, name)} is not accepted; a number above 0 is")
        check_watermark(self.watermark)
        self._request_id, self._credit = np.empty(0, np.int64), np.empty(0)
        get_ready()

    def on_record(self, record: RequestRecord) -> None:
        """Learns how long outputs are."""
        self._lengths.add(record)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        of = sorted_rows(view)
        waiting = of.waiting[due_s(view, of.waiting).argsort(kind="stable")]
        latest_s = self._latest_s(view, waiting)
        late = latest_s < view.now_s
        rejected, waiting = waiting[late], waiting[~late]
        count = num_admitted(view, of, waiting, self.watermark)
        waiting = waiting[: min(count, self._num_in_pace(view, of, waiting))]
        decodes, at_one_pace = self._credited(view, of)
        prompts = np.concatenate([of.begun, waiting])
        budget = min(self.max_chunk, view.max_tokens) - len(decodes)
        plan = beside_decodes(view, of, decodes, prompts, budget, latest_s[~late].min(initial=np.inf).item())
        if not at_one_pace:
            plan = replace(plan, holds=0, then_decodes=False)
        reasons = [LATE.format(late_s=each) for each in (view.now_s - latest_s[late]).tolist()]
        return also_rejecting(plan, rejected, reasons) if reasons else plan

    def _latest_s(self, view: View, waiting: Ints) -> Floats:
        """Until when each of who waits, in order, may begin, [w]; infinity once it has output."""
        latest_s = np.empty(len(waiting))
        if len(waiting):
            served = view.num_tokens[waiting] > view.num_prompt_tokens[waiting]
            due = np.where(served, np.inf, due_s(view, waiting))
            base_s = view.times.fixed_s + view.times.prefill_s + self.extra_s
            tokens = view.num_remaining[waiting]
            latest_starts(row_by_row(due), row_by_row(tokens), base_s, view.times.per_token_s, view.now_s, latest_s)
        return latest_s

    def _num_in_pace(self, view: View, of: Sorted, waiting: Ints) -> int:
        """How many of who waits, in order, can be admitted beside those that run."""
        if not len(waiting):
            return 0
        times, rows = view.times, np.concatenate([of.decodes, of.begun, waiting])
        count: int = num_in_pace(
            row_by_row(view.slo_tpot_s[rows]),
            row_by_row(view.num_prompt_tokens[rows]),
            len(rows) - len(waiting),
            times.fixed_s,
            times.per_token_s + times.per_decode_s,
            times.per_context_token_s,
            self._lengths.expected_left(view) / 2,
            self.margin / self.factor,
        )
        return count

    def _credited(self, view: View, of: Sorted) -> tuple[Ints, bool]:
        """The decodes that have earned an iteration, and whether all have, in every one."""
        request_id, tpot_s = view.request_id[of.decodes], view.slo_tpot_s[of.decodes]
        least_s = min(tpot_s.min(initial=np.inf), view.slo_tpot_s[of.begun].min(initial=np.inf))
        known, at = known_before(self._request_id, request_id)
        credit = np.zeros(len(request_id))
        credit[known] = self._credit[at]
        credit += least_s / tpot_s
        runs = credit >= WHOLE
        credit[runs] -= 1
        self._request_id, self._credit = request_id, credit
        return of.decodes[runs], all_of(runs) and all_of(tpot_s == least_s)
