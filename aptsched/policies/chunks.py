"""Chunked prefill: how a budget of tokens goes first to those that run, then to the queue."""

from __future__ import annotations

import numpy as np

from aptsched.policies.queue import growth, leading, shared
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints


def too_large(view: View) -> Ints:
    """Rows that the whole pool cannot hold with a KV cache."""
    return np.flatnonzero(view.cache.blocks(view.num_tokens, KV) > view.num_blocks)


def others(view: View, rows: Ints) -> tuple[Ints, Ints]:
    """Who runs and who waits, in order, without the rows given."""
    left = np.ones(len(view.running), np.bool_)
    left[rows] = False
    return np.flatnonzero(view.running & left), np.flatnonzero(~view.running & left)


def num_kept(view: View, running: Ints, fed: Ints, free: int) -> int:
    """How many of the first that run keep their cache when so many tokens are fed to each, [r]: the last make room."""
    total = view.num_held[running] + growth(view, running, fed)
    return leading(total, free + int(view.num_held[running].sum()))


def chunk_plan(view: View, running: Ints, fed: Ints, preempt: Ints, admitted: Ints, chunks: Ints, reject: Ints) -> Plan:
    """Entries of those that run and are fed, [r], then of those admitted with their first chunks, [a]."""
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
