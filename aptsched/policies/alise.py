"""Shortest predicted time first, with swapping by expected wait: after ALISE."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.option_checks import check_count, check_span
from aptsched.policies.queue import decode_holds, too_large
from aptsched.policies.swapping import swapping_plan
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.arrays import all_of
from aptsched.support.checks import Floats, Ints


@dataclass(eq=False)
class ALISE:
    """As ALISE: shortest remaining time first, by outputs predicted from what has finished; the rest swapped; stand-in.

    Output is predicted as the mean of the finished requests whose prompts are nearest in length. Remaining time is that
    of the prefill and of the decodes left, by the times that the scheduler believes. Requests stand in queues by their
    remaining time, each for up to twice that of the one before, and move up by a queue for every `aging_s` in which
    they had no token. An iteration takes those of the first queues, within a queue those in the pool, then by arrival,
    prefills and decodes together, up to the token budget, the sequence limit and the pool. Behind whom there is more
    work waits longer: of the others the last are swapped out as blocks are needed, and the first come back first.

    Parameters
    ----------
    quantum_s : float
        Remaining time up to which a request is in the first queue.
    aging_s : float
    neighbours : int
        Finished requests that an output is predicted from.
    window : int
        Requests that finished last, which are kept for that.
    output_tokens : int
        Output that is predicted before any request has finished.

    Notes
    -----
    Source: Zhao and Wang, ALISE: Accelerating Large Language Model Serving with Speculative Scheduling
    (arXiv 2410.23537): preemptive queues by remaining time s T0 + n (alpha s + beta) for prompts of s and outputs of n
    tokens, lengths from finished requests that are similar, and swapping of whole requests by their expected wait.

    Assumed, as the text has been read in summaries: similar are prompts of like length, where ALISE compares embeddings
    of their text and asks a small network if none is near; the widths of queues, aging, the order within a queue, and
    that the expected wait is the work ahead. Cached values are not quantised on their way to the host. Who has had all
    of the output that was predicted is taken to have one token to come. If the host has no room for requests that would
    have to leave, only those in the pool go on; if these outgrow it, the last are preempted and recomputed. A request
    that the pool can never hold with a KV cache is rejected.
    The policy remembers lengths: make a new object for each run.
    """

    quantum_s: float = 0.1
    aging_s: float = 3.0
    neighbours: int = 16
    window: int = 1000
    output_tokens: int = 128

    def __post_init__(self) -> None:
        for name in ("quantum_s", "aging_s"):
            check_span(name, getattr(self, name))
        for name in ("neighbours", "window", "output_tokens"):
            check_count(name, getattr(self, name))
        self._finished = deque[tuple[int, int]]((), self.window)  # prompt and output of each
        self._prompts = self._summed = np.zeros(1, np.int64)  # in order of the prompts; sums of the outputs before each

    def on_record(self, record: RequestRecord) -> None:
        """Learns the output of a request that has finished."""
        if record.outcome is Outcome.FINISHED:
            self._finished.append((record.num_prompt_tokens, record.num_output_tokens))
            self._prompts, outputs = np.array(sorted(self._finished)).T
            self._summed = np.append(0, np.cumsum(outputs))

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        if all_of(view.running):  # nobody waits, so that nobody has to be chosen, as long as there are blocks
            rows = np.arange(len(view.num_tokens))
            plan = swapping_plan(view, rows, too_large(view))
            if len(plan.request) == len(rows) and decode_holds(view, rows, plan.swap_out):
                return replace(plan, holds=decode_holds(view, rows), then_decodes=True)
        return swapping_plan(view, self._order(view), too_large(view))

    def _order(self, view: View) -> Ints:
        """Rows by queue, those in the pool before others of theirs, then in order of arrival."""
        queue = np.ceil(np.log2(np.maximum(self.remaining_s(view) / self.quantum_s, 1.0)))
        queue -= np.floor((view.now_s - view.pending_since_s) / self.aging_s)
        return np.argsort(2 * queue - view.running, kind="stable")

    def remaining_s(self, view: View) -> Floats:
        """The time that each request is predicted to take still, alone, [n]."""
        times, left = view.times, np.maximum(view.num_prompt_tokens + self.predicted(view) - view.num_tokens, 1.0)
        decode_s = times.fixed_s + times.per_token_s + times.per_decode_s + times.per_context_token_s * view.num_tokens
        prompt_s = times.prefill_s + times.per_token_s * view.num_remaining
        prefill_s = np.where(view.num_remaining > 1, prompt_s, 0.0)
        remaining_s: Floats = prefill_s + left * decode_s
        return remaining_s

    def predicted(self, view: View) -> Floats:
        """The output of each request as predicted, in tokens, [n]: the mean of those of the nearest prompts."""
        count = min(self.neighbours, len(self._finished))
        if not count:
            return np.full(len(view.num_tokens), float(self.output_tokens))
        place = np.searchsorted(self._prompts, view.num_prompt_tokens)
        first = np.clip(place - count // 2, 0, len(self._prompts) - count)
        predicted: Floats = (self._summed[first + count] - self._summed[first]) / count
        return predicted
