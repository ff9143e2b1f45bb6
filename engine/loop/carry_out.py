"""Carries out a plan: changes the requests and the pool, and runs the batch."""

from __future__ import annotations

import numpy as np

from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import Outcome
from aptsched.support.checks import Ints
from aptsched.support.interrupts import Hold
from engine.loop.lifecycle import RequestBook
from engine.loop.limits import need
from engine.state.batch import Executor, Step, check_step
from engine.state.pool import Applied


def apply_plan(plan: Plan, book: RequestBook) -> Applied:
    """Carries out a legal plan in the pool; rejected requests get their record, and keep their rows for now."""
    table, pool = book.table, book.pool
    if len(plan.reject):
        reasons = plan.reject_reasons or [""] * len(plan.reject)
        numbers = [need(num_tokens, pool) for num_tokens in table.num_tokens[plan.reject].tolist()]
        why = [f"given up by the policy: {own or usual}" for own, usual in zip(reasons, numbers, strict=True)]
        book.end(plan.reject, [(Outcome.REJECTED, reason) for reason in why])
    preempt(plan.preempt, book)
    applied = pool.apply(plan, table)
    if len(applied.converted):
        table.num_promotions[applied.converted] += 1
    if len(applied.swapped_out):
        table.num_swap_outs[applied.swapped_out] += 1
    return applied


def preempt(rows: Ints, book: RequestBook) -> None:
    """Throws the caches of these rows away, and counts that."""
    if len(rows):
        book.table.count_preemptions(rows, book.pool.num_cached[book.table.slot[rows]])
        book.pool.release(rows, book.table)


def run_batch(applied: Applied, executor: Executor, book: RequestBook, hold: Hold) -> Step:
    """Runs the batch, and lets Ctrl-C in. After an error its requests are preempted: it may be half written."""
    touched = (applied.row, applied.converted, applied.swapped_out, applied.swapped_in)
    if not any(map(len, touched)):
        return Step(0.0, np.empty(0, np.int64))
    try:
        with hold:
            step = executor.run(applied.batch)
        check_step(step, applied.batch)
    except BaseException:
        preempt(np.unique(np.concatenate(touched)), book)
        raise
    return step
