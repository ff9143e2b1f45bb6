"""Thresholds along the output, where output lengths are not known: Nested WAIT."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.chunks import chunk_plan, first_chunks
from aptsched.policies.option_checks import check_count
from aptsched.policies.queue import blocks_of, kept_along, leading, running_and_next, shared, too_large
from aptsched.policies.wait import check_service, most_in_service, place_among
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

WINDOW = 1000  # requests that finished last, whose outputs divide the segments
LARGEST_SHARE = 0.99  # of the requests of a segment that are taken to go on to the next


@dataclass(eq=False)
class NestedWAIT:
    """As Nested WAIT: in segments along the output, requests go on once enough stand at a segment's start; stand-in.

    Output tokens are divided into segments by quantiles of the outputs that were seen; a waiting request stands at the
    start of the first segment, and one that has as many tokens as a segment ends with at the start of the next. Up to
    `limit` requests are in service, and each segment has a share of them: its threshold, how many may enter it in an
    iteration, is that of the segment before times the share of requests that go so far, and a margin; a fraction of one
    adds up over iterations. In an iteration a segment's requests are served if as many stand at its start as may enter
    then, or the segment is full; of those at its start as many as that, and as are free of its share. The others keep
    their cache and wait. Prompts are fed in chunks of what the token budget leaves, as far as blocks are free. When
    blocks run out, the last running requests are preempted, and recomputed.

    Parameters
    ----------
    limit : int
        Requests in service at once; 0 for as many as the pool holds of them, in the fluid model, but for the sequence
        limit.
    segments : int
    margin : float
        Added to the share of requests that go on to the next segment.
    output_tokens : int
        Output that is expected of a request before any has finished; then the mean.

    Notes
    -----
    Source: Ao, Luo, Simchi-Levi and Wang (arXiv 2504.11320), and the scheduler of its authors' fork of Vidur: the
    thresholds from the limit, the margin of 0.05, and who is served are as there; it tries 1 to 20 segments.

    Assumed, as the fork is given lengths and their rates: segments by quantiles of the last 1000 outputs, with one
    threshold for all stages of a segment. The fork does not check memory. Departures: before any request has finished
    nobody waits for a threshold. Where no segment is ready, all running requests go on, and where nobody runs those who
    wait are admitted; the fork idles.
    The policy remembers outputs: make a new object for each run.
    """

    limit: int = 0
    segments: int = 4
    margin: float = 0.05
    output_tokens: int = 128

    def __post_init__(self) -> None:
        check_service(self.limit, self.output_tokens)
        check_count("segments", self.segments, most=1000)
        if not 0 <= self.margin <= 1:
            raise InputError(f"margin: {shown(self.margin)} is not accepted; 0 to 1 is")
        self._outputs = deque[int]((), WINDOW)
        self._num_ended, self._prompts = 0, 0  # requests, and their prompts' tokens
        self._num_decisions = 0  # by thresholds
        # Of each segment, [s]: the output that its requests have at least, how much more they may have in it, and the
        # share of all requests that have more output than its start.
        self._starts, self._widths, self._share = np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1)

    def on_record(self, record: RequestRecord) -> None:
        """Learns of a request that has ended; if it has finished, the segments are divided anew."""
        self._num_ended += 1
        self._prompts += record.num_prompt_tokens
        if record.outcome is not Outcome.FINISHED:
            return
        self._outputs.append(record.num_output_tokens)
        outputs = np.sort(np.array(self._outputs))
        ends = np.unique(outputs[np.maximum(np.arange(1, self.segments) * len(outputs) // self.segments - 1, 0)])
        self._starts = np.append(0, ends[ends < outputs[-1]])
        self._widths = np.diff(self._starts, append=outputs[-1])
        self._share = 1 - outputs.searchsorted(self._starts, side="right") / len(outputs)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        reject = too_large(view)
        running, waiting = running_and_next(view, reject)
        goes, num_admitted = self._gates(view, running, len(waiting))
        plan = _plan(view, running, goes, waiting[:num_admitted], reject)
        if not len(plan.request) and len(running):
            plan = _plan(view, running, np.ones_like(goes), nothing(), reject)
        return replace(plan, holds=0 if self._outputs else plan.holds, then_decodes=False)

    def _gates(self, view: View, running: Ints, num_waiting: int) -> tuple[Bools, int]:
        """Which of the running requests may be served, [r], and how many of the waiting ones."""
        limit = self._limit(view)
        if not self._outputs:
            return np.ones(len(running), np.bool_), max(0, limit - len(running))
        threshold = self._thresholds(limit)
        output = (view.num_tokens - view.num_prompt_tokens)[running]
        of = self._starts.searchsorted(output, side="right") - 1
        at_start = (output == self._starts[of]) & (of > 0)
        self._num_decisions += 1
        may_enter = np.floor(threshold * self._num_decisions) - np.floor(threshold * (self._num_decisions - 1))
        entering = np.bincount(of[at_start], minlength=len(threshold))
        entering[0] = num_waiting
        inside = np.bincount(of[~at_start], minlength=len(threshold))
        places = np.maximum(np.rint(threshold * self._widths), 1)
        ready = (entering >= may_enter) | (entering + inside >= places)
        may_enter = np.clip(places - inside, 0, may_enter).astype(np.int64)
        goes = ready[of] & (~at_start | (place_among(np.where(at_start, of, -1)) < may_enter[of]))
        begun = view.num_remaining[running] > 1
        may_come = int(may_enter[0]) if ready[0] else 0
        return goes | begun, max(min(may_come, limit - len(running)), int(not len(running)))

    def _limit(self, view: View) -> int:
        """Requests in service at once."""
        output = sum(self._outputs) / len(self._outputs) if self._outputs else self.output_tokens
        prompts = (self._prompts + sum_of(view.num_prompt_tokens)) / max(1, self._num_ended + len(view.num_tokens))
        return most_in_service(view, self.limit, prompts + output / 2)

    def _thresholds(self, limit: int) -> Floats:
        """The threshold of each segment, [s]: in service with them in all stages is what the limit says."""
        goes_on = np.minimum(self._share[1:] / self._share[:-1] + self.margin, LARGEST_SHARE)
        of_first = np.cumprod(np.append(1.0, goes_on))
        threshold: Floats = limit * of_first / (of_first * self._widths).sum()
        return threshold


def _plan(view: View, running: Ints, goes: Bools, waiting: Ints, reject: Ints) -> Plan:
    """The plan that feeds these running requests, and of the waiting ones, in order, those whose blocks are free."""
    served = goes & (np.cumsum(goes) <= view.max_seqs)
    fed = shared(np.where(served, view.num_remaining[running], 0), view.max_tokens)
    kept, room = kept_along(view, running, fed, view.free_blocks + blocks_of(view, reject))
    if kept < len(running):
        return chunk_plan(view, running[:kept], fed[:kept], nothing(), nothing(), running[kept:], reject)
    fits = leading(view.cache.blocks(view.num_tokens[waiting], KV), room)
    return chunk_plan(
        view, running, fed, *first_chunks(view, waiting[:fits], view.max_tokens - sum_of(fed)), nothing(), reject
    )
