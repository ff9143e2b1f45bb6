"""Requests whose objectives can be kept are admitted by a dynamic program, others get what is left, as SLOs-Serve."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.admission_by_deadline import admission_by_deadline
from aptsched.policies.known_before import known_before
from aptsched.policies.outputs_by_prompt import OutputsByPrompt
from aptsched.policies.queue import too_large
from aptsched.policies.swapping import composed
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.arrays import count_of, sum_of
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MEMORY_UNITS = 64  # into which the pool is divided for the program
SHORTEST_S = 1e-6  # a batch, where times are not known
MOST_NEW = 64  # requests that are decided on at once; further ones are decided on in the next iterations


@dataclass(eq=False)
class SLOsServe:
    """As SLOs-Serve: a dynamic program admits as many as can keep their objectives; others get the rest; stand-in.

    New requests are admitted if their prompts can be done by their deadlines beside all that were admitted before
    (`admission_by_deadline`), with the blocks that prompt and predicted output take. A batch takes no longer than the
    shortest TPOT of those admitted that decode. It has all their decodes, then prompts of admitted requests by
    deadline, in chunks; what is left goes to the best-effort tier of those not admitted, running ones first. Requests
    of that tier are preempted when blocks run out, the last ones first, and recomputed.

    Parameters
    ----------
    quantile : float
        Share of the outputs seen that do not exceed what a request is predicted to generate.

    Notes
    -----
    Source: Chen et al., SLOs-Serve (arXiv 2504.08784), section 3, as its abstract and summaries tell, and the baseline
    of that name in the code of JITServe, whose program sorts by deadline and keeps the prefill budget left for each
    number of requests accepted: the states, the batch time by the tightest TPOT, prompts by deadline, the tier.

    Assumed: the length of outputs, which the paper takes as known, is a quantile of those seen; all requests admitted
    count the same; each that decodes takes a token of every batch, whatever its TPOT; blocks are counted in 64ths of
    the pool; a request that is not admitted at once stays in the best-effort tier. Predictions are those of
    `OutputsByPrompt`.
    Left out: speculative decoding, and passing requests on to other replicas. One that the pool can never hold is
    rejected. The policy remembers lengths and tiers: make a new object for each run.
    """

    quantile: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.quantile <= 1:
            raise InputError(f"quantile: {shown(self.quantile)} is not accepted; a share above 0, up to 1, is")
        none = np.empty(0, np.int64)
        admission_by_deadline(
            np.empty(0), none, none, none > 0, np.ones(1), 0
        )  # compiled before a decision waits for it
        self._outputs = OutputsByPrompt()
        self._request_id, self._is_admitted = np.empty(0, np.int64), np.empty(0, np.bool_)

    def on_record(self, record: RequestRecord) -> None:
        """Learns the output length of a request that has finished."""
        self._outputs.add(record)

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        is_admitted = self._tiers(view)
        decodes = is_admitted & view.running & (view.num_remaining == 1)
        due_s = np.where(is_admitted, view.arrived_at_s + view.slo_ttft_s, view.arrived_at_s)
        order = np.lexsort((due_s, ~(decodes | ~is_admitted & view.running), ~is_admitted))
        reject = too_large(view)
        if len(reject):
            order = order[~np.isin(order, reject)]
        batch_s = float(view.slo_tpot_s[decodes].min(initial=np.inf))
        tokens, _ = prompt_tokens(view, decodes, batch_s, np.zeros(1, np.int64))
        most = max(int(tokens[0]), 1) + count_of(decodes)
        return composed(replace(view, max_tokens=min(most, view.max_tokens)), order, reject, 0)

    def _tiers(self, view: View) -> Bools:
        """Whether each request was admitted, [n]; decides on new ones."""
        known, before = known_before(self._request_id, view.request_id)
        is_admitted = np.zeros(len(known), np.bool_)
        is_admitted[known] = self._is_admitted[before]
        new = np.flatnonzero(~known)[:MOST_NEW]
        if len(new):
            known[new] = True
            is_admitted[new] = self._admission(view, is_admitted, new)
        self._request_id, self._is_admitted = view.request_id[known], is_admitted[known]
        return is_admitted

    def _admission(self, view: View, is_admitted: Bools, new: Ints) -> Bools:
        """Which of the new requests, [k], are admitted."""
        forced = np.flatnonzero(is_admitted & (view.num_tokens == view.num_prompt_tokens))
        rows = np.concatenate([forced, new])
        decodes = is_admitted & (view.num_tokens > view.num_prompt_tokens)
        blocks_per_unit = -(-view.num_blocks // MEMORY_UNITS)
        units = -(-self._blocks(view, rows) // blocks_per_unit)
        spare = view.num_blocks - sum_of(self._blocks(view, np.flatnonzero(is_admitted)))
        batch_s = float(view.slo_tpot_s[np.append(np.flatnonzero(decodes), new)].min())
        return admission_by_deadline(
            (view.arrived_at_s + view.slo_ttft_s)[rows] - view.now_s,
            view.num_remaining[rows],
            units,
            np.arange(len(rows)) < len(forced),
            prompt_tokens(view, decodes, batch_s, np.arange(len(new) + 1))[1],
            max(spare, 0) // blocks_per_unit,
        )[len(forced) :]

    def _blocks(self, view: View, rows: Ints) -> Ints:
        """Blocks that each of the rows is predicted to take at its end, [r]."""
        prompts = view.num_prompt_tokens[rows]
        output = self._outputs.quantile(prompts, view.num_tokens[rows] - prompts, self.quantile)
        return view.cache.blocks(prompts + output.astype(np.int64), KV)


def prompt_tokens(view: View, decodes: Bools, batch_s: float, more: Ints) -> tuple[Floats, Floats]:
    """Tokens of prompts in a batch beside these decodes, [n], and as many more without a cache, [k]; and a second, [k].

    A batch takes no longer than `batch_s`, if decodes alone do not, and has no more tokens than the budget.
    """
    times, num_decodes = view.times, count_of(decodes) + more
    room = np.maximum(view.max_tokens - num_decodes, 0).astype(np.float64)
    read_s = times.per_context_token_s * sum_of(view.num_cached[decodes])
    beside_s = times.fixed_s + times.prefill_s + (times.per_token_s + times.per_decode_s) * num_decodes + read_s
    if times.per_token_s:
        room = np.clip((batch_s - beside_s) / times.per_token_s, 0.0, room)
    took_s = np.maximum(beside_s + times.per_token_s * room, SHORTEST_S)
    return room, room / took_s
