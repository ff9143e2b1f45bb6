"""Prompts are cut so that iterations have the same number of tokens; as DeepSpeed-FastGen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.chunks import chunk_plan
from aptsched.policies.prompt_queue import Sorted, sorted_rows
from aptsched.policies.queue import blocks_of, growth, leading, shared
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, nothing, says_holds
from aptsched.scheduling.view import View
from aptsched.support.arrays import above_0, sum_of
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError


@dataclass(frozen=True)
class FastGen:
    """As DeepSpeed-FastGen: every iteration has the same number of tokens, of decodes first, then of prompts in parts.

    Decodes go first, in order of arrival; one for which there is no block waits for an iteration. Then prompts that
    were begun get tokens, and those that wait, in order of arrival, until the target is met; the first that has no
    room for all its tokens ends it. Nobody is preempted for others: only where nobody at all could be fed, the latest
    arrivals are, as few as the first of those that run needs.

    Parameters
    ----------
    target_tokens : int
        Tokens of an iteration; the loop's token budget applies too.

    Notes
    -----
    Source: Holmes et al., DeepSpeed-FastGen (arXiv 2401.08671), Dynamic SplitFuse, and the scheduler of its code,
    whose default is 768 tokens.

    Departures: where nobody could be fed, the code throws all caches away. It has at most 512 sequences in an
    iteration; here that is the loop's limit. A request that the pool can never hold with a KV cache is rejected.
    """

    target_tokens: int = 768

    def __post_init__(self) -> None:
        if self.target_tokens < 1:
            raise InputError(f"target_tokens: {self.target_tokens} is not accepted; at least 1 is")

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        of = sorted_rows(view)
        running = np.sort(np.concatenate([of.decodes, of.begun]))
        fed, free = np.zeros(len(view.num_tokens), np.int64), view.free_blocks + blocks_of(view, of.reject)
        budget = min(self.target_tokens, view.max_tokens)
        more = growth(view, of.decodes, np.ones_like(of.decodes))
        decodes = of.decodes[(more == 0) | (more.cumsum() <= free)][: min(budget, view.max_seqs)]
        fed[decodes] = 1
        free -= sum_of(growth(view, decodes, fed[decodes]))
        prompts = self._prompts(view, of, free)[: view.max_seqs - len(decodes)]
        fed[prompts] = shared(view.num_remaining[prompts], budget - len(decodes))
        admitted = prompts[~view.running[prompts] & above_0(fed[prompts])]
        if len(running) and not len(admitted) and not fed[running].any():
            return _first_alone(view, of, running, budget)
        plan = chunk_plan(view, running, fed[running], admitted, fed[admitted], nothing(), of.reject)
        all_decode = len(decodes) == len(running) and not len(prompts)
        return plan if all_decode or not plan.holds else replace(plan, holds=0)

    def _prompts(self, view: View, of: Sorted, free: int) -> Ints:
        """Prompts, begun ones first, for which there is room, each for all its tokens, in order up to the first."""
        blocks = view.cache.blocks(view.num_tokens[of.waiting], KV)
        begun = growth(view, of.begun, view.num_remaining[of.begun])
        some = leading(np.concatenate([begun, blocks]), free)
        seats = max(0, view.max_seqs - len(of.decodes) - len(of.begun))
        return np.concatenate([of.begun, of.waiting])[: min(some, len(of.begun) + seats)]


def _first_alone(view: View, of: Sorted, running: Ints, budget: int) -> Plan:
    """Feeds the first that runs; of the others the latest are preempted, as few as it needs."""
    first = running[:1]
    fed = np.minimum(view.num_remaining[first], budget)
    short = sum_of(growth(view, first, fed)) - view.free_blocks - blocks_of(view, of.reject)
    held = view.num_held[running[:0:-1]].cumsum()
    count = int(held.searchsorted(short)) + 1
    return chunk_plan(view, first, fed, nothing(), nothing(), running[1:][-count:], of.reject)
