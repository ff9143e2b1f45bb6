"""Chunked prefill: a budget of tokens goes to the running requests first, then to the queue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aptsched.policies.queue import (
    blocks_of,
    decode_holds,
    fed_of,
    kept_along,
    running_and_next,
    shared,
    too_large,
)
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, nothing
from aptsched.scheduling.view import View
from aptsched.support.arrays import above_0, all_of, equal, sum_of
from aptsched.support.checks import Ints
from aptsched.support.constant import constant


def chunk_plan(
    view: View, running: Ints, fed: Ints, admitted: Ints, chunks: Ints, preempt: Ints, reject: Ints, holds: int = 0
) -> Plan:
    """A plan whose entries are the running requests that are fed, [r], then those admitted, with first chunks, [a].

    `holds` is `Plan.holds` as `holds_behind` says, which counts if all of them are fed up to their newest tokens.
    """
    going, feeds_all = above_0(fed), not len(reject)
    if not all_of(going):
        running, fed, feeds_all = running[going], fed[going], False
    lasting = decode_holds(view, running, admitted, preempt, reject)
    form = view.form[running]
    if len(admitted):
        running, fed = np.concatenate([running, admitted]), np.concatenate([fed, chunks])
        form = np.concatenate([form, constant(KV, len(admitted))])
    if not equal(fed, view.num_remaining[running]):
        return Plan(running, fed, form, preempt=preempt, reject=reject, holds=lasting)
    # All are fed to their newest token within the budget, which has room for one token of each then.
    then_decodes = len(running) == len(view.num_tokens)
    lasting = max(lasting, holds) if feeds_all else lasting
    return Plan(running, fed, form, preempt=preempt, reject=reject, holds=lasting, then_decodes=then_decodes)


def first_chunks(view: View, waiting: Ints, budget: int) -> tuple[Ints, Ints]:
    """The waiting rows that get tokens of the budget, in order, and how many; the last one may get a chunk."""
    if budget <= 0 or not len(waiting):
        return nothing(), nothing()
    chunks = shared(view.num_tokens[waiting], budget)
    some = above_0(chunks)
    return (waiting, chunks) if all_of(some) else (waiting[some], chunks[some])


def plan_beside_running(view: View, admitted: Callable[[Ints, Ints, int], Ints]) -> Plan:
    """A plan that feeds the running requests, and beside them first chunks of waiting ones, as far as the budget goes.

    When blocks run out, the last running requests are preempted, and nobody is admitted. A request that the pool can
    never hold with a KV cache is rejected.

    Parameters
    ----------
    view : View
    admitted : callable
        From the running rows, the next of the waiting ones in order of arrival, and the blocks that are free once the
        running requests have grown, the waiting rows to admit, in order: their blocks are free. It is only called where
        somebody waits whom the sequence limit and the token budget admit.
    """
    reject = too_large(view)
    running, waiting = running_and_next(view, reject)
    fed = fed_of(view, running)
    kept, room = kept_along(view, running, fed, view.free_blocks + blocks_of(view, reject))
    if kept < len(running):
        return chunk_plan(view, running[:kept], fed[:kept], nothing(), nothing(), running[kept:], reject)
    budget = view.max_tokens - sum_of(fed)
    rows = admitted(running, waiting, room) if budget > 0 and len(waiting) else nothing()
    rows, chunks = first_chunks(view, rows, budget)
    return chunk_plan(view, running, fed, rows, chunks, nothing(), reject)
