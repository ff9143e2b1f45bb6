"""Admission in groups, by thresholds for each type of request: WAIT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.chunks import plan_beside_running
from aptsched.policies.option_checks import check_count
from aptsched.policies.queue import leading, too_large
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.checks import Floats, Ints

NUM_TYPES = 64  # prompts of up to 2**63 tokens


@dataclass(eq=False)
class WAIT:
    """As WAIT: admits requests of a type once enough of it wait, by thresholds in proportion to what arrives; stand-in.

    Types are prompts of like length, from a power of two to the next. Up to `limit` requests are in service, shared
    among types by how many came and how many iterations each takes. Per iteration a type may admit its threshold: its
    share for each iteration that one of its requests takes, at least 1, as far as its share is not in service. Once any
    type has as many waiting as it may admit, each type admits up to that, in order of arrival, as far as blocks are
    free; the first that does not fit holds up those behind it. Running requests go on in all iterations, before these
    prompts, which are fed in chunks of what the token budget leaves. When blocks run out, the last running requests are
    preempted, and recomputed.

    Parameters
    ----------
    limit : int
        Requests in service at once; 0 for as many as the pool holds of them, in the fluid model, but for the sequence
        limit.
    output_tokens : int
        Output that is expected of a request before any has finished; then the mean of its type, or of all.

    Notes
    -----
    Source: Ao, Luo, Simchi-Levi and Wang, Optimizing LLM Inference: Fluid-Guided Online Scheduling with Memory
    Constraints (arXiv 2504.11320), and the schedulers of its authors' fork of Vidur: shares, thresholds and who is
    taken are as there.

    Assumed, as there types and their rates are given: types by prompt length, with the rates and outputs that were
    seen. The limit of memory in blocks is that of the text's fluid model; the fork has no check of it, and ours is of
    the blocks that are free. Departures: where no type is ready, running requests do not wait, and where nobody runs
    no type waits for its threshold; the fork idles, and in the end drops who is left. Shares are rounded up.
    The policy remembers what has ended: make a new object for each run.
    """

    limit: int = 0
    output_tokens: int = 128

    def __post_init__(self) -> None:
        check_service(self.limit, self.output_tokens)
        # Of each type: requests that have ended, and their prompts' tokens; those that finished, and their output.
        self._ended, self._prompts, self._finished, self._outputs = np.zeros((4, NUM_TYPES))

    def on_record(self, record: RequestRecord) -> None:
        """Learns of a request that has ended."""
        of = type_of(np.array([record.num_prompt_tokens]))
        self._ended[of] += 1
        self._prompts[of] += record.num_prompt_tokens
        if record.outcome is Outcome.FINISHED:
            self._finished[of] += 1
            self._outputs[of] += record.num_output_tokens

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        return plan_beside_running(view, lambda running, waiting, room: self._admitted(view, running, waiting, room))

    def _admitted(self, view: View, running: Ints, waiting: Ints, room: int) -> Ints:
        """The waiting requests that are admitted; `waiting` are those that the sequence limit has room for."""
        num_places = len(waiting)
        waiting = np.setdiff1d(np.flatnonzero(~view.running), too_large(view))
        of = type_of(view.num_prompt_tokens[waiting])
        may = self._thresholds(view, running)
        count = np.bincount(of, minlength=NUM_TYPES)
        if len(running) and not ((may > 0) & (count >= may)).any():
            return waiting[:0]
        rows = waiting[place_among(of) < may[of]][:num_places]
        return rows[: leading(view.cache.blocks(view.num_tokens[rows], KV), room)]

    def _thresholds(self, view: View, running: Ints) -> Ints:
        """How many requests each type may admit now, [t]."""
        of = type_of(view.num_prompt_tokens)
        came = self._ended + np.bincount(of, minlength=NUM_TYPES)
        iterations = self._expected_outputs() + 1
        weight = came * iterations
        prompts = self._prompts + np.bincount(of, view.num_prompt_tokens, NUM_TYPES)
        # came * prompt + came * output / 2, over came: what one of each type holds on average
        held = (prompts * iterations + weight * (iterations - 1) / 2).sum() / weight.sum()
        share = most_in_service(view, self.limit, float(held)) * weight / weight.sum()
        free = np.ceil(share) - np.bincount(of[running], minlength=NUM_TYPES)
        thresholds: Ints = np.maximum(np.minimum(np.maximum(share / iterations, 1), free), 0).astype(np.int64)
        return thresholds

    def _expected_outputs(self) -> Floats:
        """Output tokens that are expected of a request of each type, [t]."""
        of_all = self._outputs.sum() / self._finished.sum() if self._finished.any() else self.output_tokens
        expected: Floats = np.where(self._finished > 0, self._outputs / np.maximum(self._finished, 1), of_all)
        return expected


def most_in_service(view: View, limit: int, num_tokens: float) -> int:
    """The limit of requests in service; if it is 0, as many as the pool holds if each has so many tokens on average."""
    pool = view.num_blocks * view.cache.tokens_per_block(KV)
    return min(limit or max(1, int(pool / num_tokens)), view.max_seqs)


def type_of(num_prompt_tokens: Ints) -> Ints:
    """The type of requests with such prompts, [n]: the number of binary digits."""
    return np.frexp(num_prompt_tokens.astype(np.float64))[1].astype(np.int64)


def place_among(of: Ints) -> Ints:
    """How many before each, [n], are of the same type."""
    grouped = np.argsort(of, kind="stable")
    place = np.empty(len(of), np.int64)
    place[grouped] = np.arange(len(of)) - np.searchsorted(of[grouped], of[grouped])
    return place


def check_service(limit: int, output_tokens: int) -> None:
    """Raises InputError unless both options are accepted."""
    check_count("limit", limit, least=0)
    check_count("output_tokens", output_tokens)
