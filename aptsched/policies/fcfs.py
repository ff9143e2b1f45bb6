"""First come, first served, as vLLM v0 does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.option_checks import check_watermark
from aptsched.policies.queue import (
    blocks_of,
    decode_holds,
    entries,
    growth,
    holds_behind,
    leading,
    running_and_next,
    shared,
    survivors,
    too_large,
)
from aptsched.scheduling.first_come import FirstCome
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Ints


@dataclass(frozen=True)
class FCFS:
    """First come, first served, as vLLM v0: first prefill whole prompts; if none is admitted, decode all that run.

    A prompt is admitted if its blocks leave the watermark free, its tokens are within the token budget, and the running
    requests are within the sequence limit. The first that is not admitted holds up those behind it. When blocks run
    out, the latest arrivals are preempted and their tokens fed again later; they keep their place in order of arrival.

    Parameters
    ----------
    watermark : float
        Share of the pool that admission leaves free, so that what was just admitted is not preempted at once.

    Notes
    -----
    Source: the default scheduler of vLLM v0 (Kwon et al., PagedAttention, SOSP 2023, section 4.5), with recomputation.

    Departures: where nothing runs, the first request is admitted without the watermark, for otherwise a prompt of
    nearly the whole pool would wait forever. vLLM v0 rejects a prompt that is longer than the token budget; here it is
    admitted when it is first in the queue, in chunks of the whole budget, and decodes wait for its last chunk as for
    any prefill. A request that the pool can never hold with a KV cache, or no longer, is rejected.
    """

    watermark: float = 0.01

    def __post_init__(self) -> None:
        check_watermark(self.watermark)

    def first_come(self, max_tokens: int, num_blocks: int) -> FirstCome:
        """A request is admitted with the blocks of its prompt, those of the watermark stay free, and decodes wait."""
        return FirstCome(max_tokens, int(self.watermark * num_blocks), whole=True, alone=True)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        rule, reject = self.first_come(view.max_tokens, view.num_blocks), too_large(view)
        running, waiting = running_and_next(view, reject)
        free = view.free_blocks + blocks_of(view, reject)
        then_decodes = len(view.num_tokens) <= min(view.max_tokens, view.max_seqs)
        begun = running[view.num_remaining[running] > 1]
        if len(begun) or len(waiting):
            rows = _prefill(view, rule, begun, waiting, len(running), free)
            if len(rows):
                return Plan(*entries(view, rows), reject=reject, then_decodes=then_decodes)
        going, preempt = survivors(view, running, free)
        holds = decode_holds(view, running, preempt, reject)
        if len(preempt) and not len(begun) and not len(reject) and len(running) < view.max_seqs:
            room = view.free_blocks + blocks_of(view, preempt) - sum_of(growth(view, going, np.ones_like(going)))
            holds = holds_behind(view, rule, len(going), np.concatenate([preempt[:1], waiting[:1]]), room)
        return Plan(*entries(view, going), preempt=preempt, reject=reject, holds=holds, then_decodes=then_decodes)


def _prefill(view: View, rule: FirstCome, begun: Ints, waiting: Ints, num_running: int, free: int) -> Ints:
    """Rows of prompts that were begun and of those admitted beside them; none if the begun ones do not fit."""
    fed = shared(view.num_remaining[begun], rule.max_tokens)
    left = free - sum_of(growth(view, begun, fed))
    if left < 0:
        return nothing()
    admitted = _admitted(view, rule, waiting, num_running, left, rule.max_tokens - sum_of(fed))
    return np.concatenate([begun, admitted])[: view.max_seqs]


def _admitted(view: View, rule: FirstCome, waiting: Ints, num_running: int, free: int, max_tokens: int) -> Ints:
    """The waiting requests, in order, that the free blocks and tokens admit."""
    if not len(waiting):
        return waiting
    first = int(view.num_tokens[waiting[0]])
    first_blocks, room = view.cache.blocks(rule.least_tokens(first, max_tokens), KV), free - rule.spared_blocks
    if num_running == 0:
        room = max(room, min(free, first_blocks))
    if first_blocks > room or first > max_tokens:
        return waiting[: int(first_blocks <= room and max_tokens == rule.max_tokens)]
    tokens = view.num_tokens[waiting]
    return waiting[: min(leading(view.cache.blocks(tokens, KV), room), leading(tokens, max_tokens))]
