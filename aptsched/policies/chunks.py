"""Chunked prefill: a budget of tokens goes to the running requests first, then to the queue."""

from __future__ import annotations

import numpy as np

from aptsched.policies.queue import decode_holds, shared
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, nothing
from aptsched.scheduling.view import View
from aptsched.support.arrays import above_0, all_of, equal
from aptsched.support.checks import Ints
from aptsched.support.constant import constant


def chunk_plan(view: View, running: Ints, fed: Ints, admitted: Ints, chunks: Ints, preempt: Ints, reject: Ints) -> Plan:
    """A plan whose entries are the running requests that are fed, [r], then those admitted, with first chunks, [a]."""
    going = above_0(fed)
    if not all_of(going):
        running, fed = running[going], fed[going]
    form = view.form[running]
    if len(admitted):
        running, fed = np.concatenate([running, admitted]), np.concatenate([fed, chunks])
        form = np.concatenate([form, constant(KV, len(admitted))])
    holds = decode_holds(view, running, admitted, preempt, reject)
    # All are fed to their newest token within the budget, which has room for one token of each then.
    then_decodes = len(running) == len(view.num_tokens) and equal(fed, view.num_remaining[running])
    return Plan(running, fed, form, preempt=preempt, reject=reject, holds=holds, then_decodes=then_decodes)


def first_chunks(view: View, waiting: Ints, budget: int) -> tuple[Ints, Ints]:
    """The waiting rows that get tokens of the budget, in order, and how many; the last one may get a chunk."""
    if budget <= 0 or not len(waiting):
        return nothing(), nothing()
    chunks = shared(view.num_tokens[waiting], budget)
    some = above_0(chunks)
    return (waiting, chunks) if all_of(some) else (waiting[some], chunks[some])
