"""Stall-free batching with chunked prefill, as Sarathi-Serve does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.chunks import chunk_plan, first_chunks
from aptsched.policies.option_checks import check_watermark
from aptsched.policies.queue import (
    blocks_of,
    holds_behind,
    kept_along,
    num_with_room,
    running_and_next,
    shared,
    too_large,
)
from aptsched.scheduling.first_come import FirstCome
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError


@dataclass(frozen=True)
class Sarathi:
    """As Sarathi-Serve: first decodes, then prefills that were begun, then new ones, within a chunk budget.

    New prefills are admitted in order of arrival, as long as the blocks of the whole prompt, and those that begun
    prefills still need, leave the watermark free. The first that is not admitted holds up those behind it. When blocks
    run out, the latest arrivals are preempted, and their tokens fed again later.

    Parameters
    ----------
    chunk_tokens : int
        Most tokens of an iteration; the loop's token budget applies too.
    watermark : float
        Share of the pool that admission leaves free.

    Notes
    -----
    Source: Agrawal et al., Sarathi-Serve (OSDI 2024), algorithm 3, and the default chunk of its code.

    Assumptions and departures: memory is that of vLLM v0, on which the code builds. Where nothing runs, the first
    request is admitted without the watermark. A request that the pool can never hold with a KV cache is rejected.
    """

    chunk_tokens: int = 512
    watermark: float = 0.01

    def __post_init__(self) -> None:
        if self.chunk_tokens < 1:
            raise InputError(f"chunk_tokens: {self.chunk_tokens} is not accepted; at least 1 is")
        check_watermark(self.watermark)

    def first_come(self, max_tokens: int, num_blocks: int) -> FirstCome:
        """A request is admitted with the blocks of its prompt, and those of the watermark stay free."""
        spared = int(self.watermark * num_blocks)
        return FirstCome(min(self.chunk_tokens, max_tokens), spared, whole=True)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        rule, reject = self.first_come(view.max_tokens, view.num_blocks), too_large(view)
        running, waiting = running_and_next(view, reject)
        free, fed = view.free_blocks + blocks_of(view, reject), _fed(view, running, rule.max_tokens)
        kept, room = kept_along(view, running, fed, free)
        if kept < len(running):
            preempt, behind = running[kept:], np.concatenate([running[kept : kept + 1], waiting[:1]])
            holds = holds_behind(view, rule, kept, behind, room) if len(running) < view.max_seqs else 0
            return chunk_plan(view, running[:kept], fed[:kept], nothing(), nothing(), preempt, reject, holds)
        fitting = waiting[: num_with_room(view, running, waiting, free, rule.spared_blocks)]
        admitted, chunks = first_chunks(view, fitting, rule.max_tokens - sum_of(fed))
        left = room - sum_of(view.cache.blocks(chunks, KV))
        holds = holds_behind(view, rule, kept + len(admitted), waiting[len(admitted) :], left)
        return chunk_plan(view, running, fed, admitted, chunks, nothing(), reject, holds)


def _fed(view: View, running: Ints, budget: int) -> Ints:
    """Tokens fed to each running request, [r]: decodes first, then begun prefills, each in order of arrival."""
    remaining = view.num_remaining[running]
    order = np.argsort(remaining > 1, kind="stable")[: view.max_seqs]
    fed = np.zeros_like(remaining)
    fed[order] = shared(remaining[order], budget)
    return fed
