"""Admission by the future peak of memory, with output lengths sampled from those of the past."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.chunks import plan_beside_running
from aptsched.policies.future_peak import get_ready, leading_under_peak
from aptsched.policies.option_checks import check_count, check_seed, check_watermark
from aptsched.policies.queue import leading
from aptsched.policies.recent_lengths import RecentLengths
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints

NUM_SAMPLES, MOST_SAMPLES = 200, 5  # lengths that are drawn in all, at least; and for each request, at most


@dataclass(eq=False)
class PastFuture:
    """As Past-Future of LightLLM: admits who fits even at the future peak of memory, by lengths sampled from the past.

    The output of a running request is sampled from recent output lengths above what it has generated, that of a waiting
    one from all of them. Waiting requests are admitted in order of arrival as long as the most blocks that all hold at
    once, until they end, are within the pool but for a reserve, by each of several samples. The first that is not
    admitted holds up those behind it. Every iteration hands out the token budget, to running requests first, then to
    those admitted, in chunks. When blocks run out, the last running requests are preempted, and recomputed.

    Parameters
    ----------
    reserve : float
        Share of the pool that the future peak leaves free.
    window : int
        Requests that finished last, whose output lengths are kept.
    max_new_tokens : int
        Output tokens at which any request is taken to end. At first, half of the window are requests of this length.
    seed : int
        Of the samples.

    Notes
    -----
    Source: Gong et al., Past-Future Scheduler for LLM Serving under SLA Guarantees (ASPLOS 2025), and the queue of this
    name in LightLLM's code: window, what it holds at first, reserve, number of samples, and interpolation between
    neighbouring lengths are as there. Assumed: no output has over 1024 tokens, where LightLLM knows the limit of each
    request.

    Departures: blocks are counted in place of tokens, exactly. Where nothing runs, the first request is admitted
    whatever its peak, for otherwise it might wait forever.
    The policy remembers lengths and its generator: make a new object for each run.
    """

    reserve: float = 0.05
    window: int = 200
    max_new_tokens: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        check_watermark(self.reserve, "reserve")
        check_count("window", self.window, most=10**6)
        check_count("max_new_tokens", self.max_new_tokens)
        check_seed(self.seed)
        self._rng = np.random.default_rng(self.seed)
        self._lengths = RecentLengths(self.max_new_tokens, max(1, self.window // 2), self.window)
        self._has_sampled = False
        get_ready()

    def on_record(self, record: RequestRecord) -> None:
        """Learns the output length of a request that has finished."""
        if record.outcome is Outcome.FINISHED:
            self._lengths.add(record.num_output_tokens)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        self._has_sampled = False
        plan = plan_beside_running(view, lambda running, waiting, room: self._admitted(view, running, waiting, room))
        return replace(plan, holds=0) if self._has_sampled else plan

    def _admitted(self, view: View, running: Ints, waiting: Ints, room: int) -> Ints:
        """The waiting requests, in order, that all samples admit; none is drawn where no prompt fits now."""
        reserved = int(self.reserve * view.num_blocks)
        blocks = view.cache.blocks(view.num_tokens[waiting], KV)
        count = leading(blocks, room - reserved)
        if count:
            self._has_sampled = True
            count = self._num_under_peak(view, running, waiting[:count], view.num_blocks - reserved)
        return waiting[: count if len(running) else max(count, int(blocks[0] <= room))]

    def _num_under_peak(self, view: View, running: Ints, waiting: Ints, max_blocks: int) -> int:
        """How many of the waiting requests each sample has room for."""
        rows = np.concatenate([running, waiting])
        num_tokens, form = view.num_tokens[rows], np.where(view.running[rows], view.form[rows], KV)
        generated = num_tokens - view.num_prompt_tokens[rows]
        samples = min(MOST_SAMPLES, NUM_SAMPLES // max(1, len(running)) + 1)
        return min(
            leading_under_peak(view.cache, num_tokens, self.sampled_left(generated), form, len(running), max_blocks)
            for _ in range(samples)
        )

    def sampled_left(self, generated: Ints) -> Ints:
        """Output tokens to come of requests that have generated so many, [n]: a sample of each, at least 1.

        Lengths above what is generated are as likely each, and lengths between two neighbours interpolate them.
        """
        lengths, total = self._lengths, len(self._lengths)
        longer = lengths.num_up_to(generated)  # the place of the first that is
        place = self._rng.random(len(generated)) * (total + 1 - longer)
        whole = place.astype(np.int64)
        above = longer + whole
        low = np.where(whole == 0, generated, lengths.at(above - 1))
        last = max(lengths.largest, self.max_new_tokens)
        high = np.maximum(np.where(above < total, lengths.at(np.minimum(above, total - 1)), last), generated + 1)
        sampled = np.rint(low + (high - low) * (place - whole)).astype(np.int64)
        sampled = np.where(generated == 0, lengths.at(self._rng.choice(total, len(generated))), sampled)
        left: Ints = np.maximum(sampled - generated, 1)
        return left
