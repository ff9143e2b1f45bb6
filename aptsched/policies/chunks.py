"""Chunked prefill: a budget of tokens goes to the running requests first, then to the queue."""

from __future__ import annotations

import numpy as np

from aptsched.policies.queue import shared
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints


def chunk_plan(view: View, running: Ints, fed: Ints, preempt: Ints, admitted: Ints, chunks: Ints, reject: Ints) -> Plan:
    """A plan whose entries are the running requests that are fed, [r], then those admitted, with first chunks, [a]."""
    going = fed > 0
    return Plan(
        request=np.concatenate([running[going], admitted]),
        num_tokens=np.concatenate([fed[going], chunks]),
        form=np.concatenate([view.form[running[going]], np.full(len(admitted), KV)]),
        preempt=preempt,
        reject=reject,
    )


def first_chunks(view: View, waiting: Ints, budget: int) -> tuple[Ints, Ints]:
    """The waiting rows that get tokens of the budget, in order, and how many; the last one may get a chunk."""
    chunks = shared(view.num_tokens[waiting], budget)
    return waiting[chunks > 0], chunks[chunks > 0]
