"""One token budget for prefill and decode, as vLLM v1 does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.chunks import chunk_plan, first_chunks
from aptsched.policies.queue import blocks_of, fed_of, holds_behind, kept_along, leading, running_and_next, too_large
from aptsched.scheduling.first_come import FirstCome
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of


@dataclass(frozen=True)
class VLLMv1:
    """As vLLM v1: running requests get their tokens first, then waiting ones; prompts are cut to what is left.

    Every iteration hands out the token budget: to each running request min(remaining, what is left), then, if none was
    preempted, to the waiting requests in order of arrival, in chunks, while the blocks for the chunk and the sequence
    limit allow; the first that cannot be admitted holds up those behind it. When blocks run out, the last running
    requests are preempted, and their tokens fed again later.

    Notes
    -----
    Source: the scheduler of vLLM v1, with recomputation; its token budget of 2048 is the loop's default.

    Assumptions and departures: the running list is in order of arrival; in vLLM it is so too, except for requests that
    were preempted and came back. There is no prefix cache, and the queue has no priorities. A request that the pool can
    never hold with a KV cache is rejected.
    """

    def first_come(self, max_tokens: int, num_blocks: int) -> FirstCome:
        """A request is admitted with the blocks of its first chunk."""
        return FirstCome(max_tokens)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        rule, reject = self.first_come(view.max_tokens, view.num_blocks), too_large(view)
        running, waiting = running_and_next(view, reject)
        fed = fed_of(view, running)
        kept, room = kept_along(view, running, fed, view.free_blocks + blocks_of(view, reject))
        if kept < len(running):
            preempt, behind = running[kept:], np.concatenate([running[kept : kept + 1], waiting[:1]])
            holds = holds_behind(view, rule, kept, behind, room) if len(running) < view.max_seqs else 0
            return chunk_plan(view, running[:kept], fed[:kept], nothing(), nothing(), preempt, reject, holds)
        admitted, chunks = first_chunks(view, waiting, rule.max_tokens - sum_of(fed))
        blocks = view.cache.blocks(chunks, KV)
        count = leading(blocks, room) if len(admitted) else 0
        holds = holds_behind(view, rule, kept + count, waiting[count:], room - sum_of(blocks[:count]))
        return chunk_plan(view, running, fed, admitted[:count], chunks[:count], nothing(), reject, holds)
