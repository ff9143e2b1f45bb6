"""Prompts in an order of their own beside decodes: who of them is admitted, and the plan that feeds them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.chunks import chunk_plan
from aptsched.policies.queue import blocks_of, kept_along, num_with_room, shared, too_large
from aptsched.scheduling.plan import Plan, nothing
from aptsched.scheduling.view import View
from aptsched.support.arrays import above_0, count_of
from aptsched.support.checks import Ints


@dataclass(frozen=True, eq=False)
class Sorted:
    """The rows of a view by what they need, each in order of arrival.

    Attributes
    ----------
    reject : int array
        The pool can never hold them with a KV cache.
    decodes, begun, waiting : int array
        Running requests that need their newest token alone, others that run, and those that wait.
    """

    reject: Ints
    decodes: Ints
    begun: Ints
    waiting: Ints


def sorted_rows(view: View) -> Sorted:
    """The rows of a view by what they need."""
    reject, running, single = too_large(view), view.running, view.num_remaining == 1
    if len(reject):
        can_be = np.ones(len(running), np.bool_)
        can_be[reject] = False
        decodes, begun, waiting = running & single & can_be, running & ~single & can_be, ~running & can_be
    else:
        decodes, begun, waiting = running & single, running & ~single, ~running
    return Sorted(reject, decodes.nonzero()[0], begun.nonzero()[0], waiting.nonzero()[0])


def num_admitted(view: View, of: Sorted, waiting: Ints, watermark: float) -> int:
    """As `num_with_room`, of as many of the waiting as the sequence limit lets run; the watermark is a share."""
    running = np.concatenate([of.decodes, of.begun])
    seats = max(0, view.max_seqs - len(running))
    free, spared = view.free_blocks + blocks_of(view, of.reject), int(watermark * view.num_blocks)
    return num_with_room(view, running, waiting[:seats], free, spared)


def beside_decodes(view: View, of: Sorted, decodes: Ints, prompts: Ints, budget: int, until_s: float = np.inf) -> Plan:
    """Feeds these decodes a token each, and then these prompts, begun or admitted, in order, up to so many tokens.

    When blocks run out, the latest arrivals are preempted, and nobody is admitted. The plan holds where all that runs
    decodes and nobody is admitted, until a time at which the order of who waits may change.
    """
    decodes = decodes[: min(view.max_tokens, view.max_seqs)]
    prompts = prompts[: view.max_seqs - len(decodes)]
    chunks = shared(view.num_remaining[prompts], max(0, min(budget, view.max_tokens - len(decodes))))
    fed = np.zeros(len(view.num_tokens), np.int64)
    fed[decodes], fed[prompts] = 1, chunks
    running = np.sort(np.concatenate([of.decodes, of.begun]))
    kept, _ = kept_along(view, running, fed[running], view.free_blocks + blocks_of(view, of.reject))
    if kept < len(running):
        rows = running[:kept]
        plan = chunk_plan(view, rows, fed[rows], nothing(), nothing(), running[kept:], of.reject)
        return replace(plan, then_decodes=False)
    admitted = prompts[~view.running[prompts] & above_0(chunks)]
    plan = chunk_plan(view, running, fed[running], admitted, fed[admitted], nothing(), of.reject)
    if not plan.holds:
        return plan
    if count_of(above_0(fed[running])) < len(running) or len(prompts):
        return replace(plan, holds=0)
    return replace(plan, holds_until_s=until_s) if until_s < np.inf else plan
