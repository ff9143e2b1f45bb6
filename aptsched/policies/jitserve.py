"""Who gains most objectives met for the time that it takes is served, in frames of some iterations, after JITServe."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from aptsched.policies.option_checks import check_count
from aptsched.policies.outputs_by_prompt import OutputsByPrompt
from aptsched.policies.queue import leading, too_large
from aptsched.policies.swapping import swapping_plan
from aptsched.scheduling.forms import KV, NONE
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

OUTPUT_WEIGHT = 8.0  # of an output token, where one of a prompt counts 1
FIRST_ITERATION_S = 0.02  # until frames are measured
FRAMES_MEASURED = 10
LEAST_RATIO = 1e-6


@dataclass(eq=False)
class JITServe:
    """As JITServe: requests by tokens that meet their objectives for each second that they still take, once a frame.

    A request is believed to generate a high quantile of the outputs seen. Its gain is its prompt and 8 times its
    output, each times the share of its deadline in the time at which it would be done, if that is less than 1; its
    priority is that gain over the time of the tokens to come. Once a frame all requests compete: of those whose
    priority is near that of the last that the pool has room for, the ones of neighbouring lengths that have the most
    priority in sum are served, and then others by priority; who has to leave is swapped out, if that costs less than it
    gains. Within a frame those that run go on, decodes first, and others are admitted by priority.

    Parameters
    ----------
    frame : int
        Iterations from one competition to the next.
    cutoff : float
        Share of the priority of the last request with room that a request needs to be chosen for its length.
    quantile : float
        Share of the outputs seen that do not exceed what a request is believed to generate.
    refresh : int
        Tokens after which what is believed of a request is looked at anew.

    Notes
    -----
    Source: Zhang et al., JITServe (NSDI 2026, arXiv 2504.20068), section 4, and its code: gains, weights, priorities,
    frames of 50 iterations whose mean time is that of a token, groups of like lengths with a cutoff of 0.95, upper
    bounds at the 95th percentile, refined every 50 tokens, preemption by swap.

    Assumed: outputs are predicted from those seen, where JITServe trains a quantile forest on the prompts' texts; the
    deadline of the whole output is TTFT and a TPOT for each token that is believed; the cost of preempting is the time
    to compute the cache anew; how many requests are chosen is what the pool has room for.
    Predictions are those of `OutputsByPrompt`.
    Left out: requests made of several calls, and feeding those with time to spare in some iterations of a frame alone:
    the paper speaks of that share, the code does not compute it. A request that the pool can never hold is rejected.
    The policy remembers lengths and times: make a new object for each run.
    """

    frame: int = 50
    cutoff: float = 0.95
    quantile: float = 0.95
    refresh: int = 50

    def __post_init__(self) -> None:
        for name in ("frame", "refresh"):
            check_count(name, getattr(self, name), most=10**6)
        for name in ("cutoff", "quantile"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name}: {shown(getattr(self, name))} is not accepted; a share above 0, up to 1, is")
        self._outputs = OutputsByPrompt()
        self._num_decisions, self._frame_began_s = 0, 0.0
        self._iterations_s = deque([FIRST_ITERATION_S], FRAMES_MEASURED)

    def on_record(self, record: RequestRecord) -> None:
        """Learns the output length of a request that has finished."""
        self._outputs.add(record)

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        begins = self._num_decisions % self.frame == 0
        if begins:
            if self._num_decisions:
                self._iterations_s.append((view.now_s - self._frame_began_s) / self.frame)
            self._frame_began_s = view.now_s
        self._num_decisions += 1
        priority = self._priority(view)
        first = self._chosen(view, priority) if begins else view.running
        decodes = view.running & (view.num_remaining == 1)
        order = np.lexsort((-priority, ~decodes, ~first))
        return swapping_plan(view, order, too_large(view))

    @property
    def _iteration_s(self) -> float:
        return sum(self._iterations_s) / len(self._iterations_s)

    def _priority(self, view: View) -> Floats:
        """The gain of each request, [n], for each second that it still takes."""
        generated = view.num_tokens - view.num_prompt_tokens
        refreshed = generated // self.refresh * self.refresh
        output = np.maximum(self._outputs.quantile(view.num_prompt_tokens, refreshed, self.quantile), generated + 1)
        left = output - generated
        left_s, served_s = self._iteration_s * left, view.now_s - view.arrived_at_s
        deadline_s = view.slo_ttft_s + view.slo_tpot_s * (output - 1)
        gain = OUTPUT_WEIGHT * left * met(deadline_s, served_s + left_s)
        prompt = view.num_prompt_tokens * met(view.slo_ttft_s, served_s + self._iteration_s)
        gained = view.num_prompt_tokens + OUTPUT_WEIGHT * generated
        priority: Floats = (gain + np.where(generated == 0, prompt, gained)) / np.maximum(left_s, LEAST_RATIO)
        return priority

    def _chosen(self, view: View, priority: Floats) -> Bools:
        """Which requests are served in the frame that begins, [n], as far as there is room."""
        worth = priority * self._kept(view)
        order = np.argsort(-worth, kind="stable")
        form = np.where(view.form == NONE, KV, view.form)
        blocks = view.cache.blocks_by_form(view.num_tokens, form)[order]
        count = max(1, min(leading(blocks, view.num_blocks), view.max_seqs))
        chosen = np.zeros(len(order), np.bool_)
        if count >= len(order):
            return ~chosen
        near = order[worth[order] >= self.cutoff * worth[order[count - 1]]]
        near = near[np.argsort(view.num_tokens[near], kind="stable")]
        chosen[near[heaviest(worth[near], count)]] = True
        return chosen

    def _kept(self, view: View) -> Floats:
        """By how much a priority counts more, [n], because its request runs and would have to be restored."""
        frame_s = self.frame * self._iteration_s
        restore_s = np.where(view.running, view.times.per_token_s * view.num_cached, 0.0)
        factor: Floats = frame_s / np.maximum(frame_s - restore_s, LEAST_RATIO * frame_s)
        return factor


def met(deadline_s: Floats, done_s: Floats) -> Floats:
    """Share of a gain that counts, [n]: of a deadline in the time when all is done, both from the arrival on."""
    share: Floats = np.clip(deadline_s / np.maximum(done_s, LEAST_RATIO), LEAST_RATIO, 1.0)
    return share


def heaviest(worth: Floats, count: int) -> Ints:
    """Places of the `count` neighbours, of [n], that are worth most in sum; the first ones among equals."""
    if count >= len(worth):
        return np.arange(len(worth))
    sums = np.concatenate([[0.0], worth.cumsum()])
    return int((sums[count:] - sums[:-count]).argmax()) + np.arange(count)
