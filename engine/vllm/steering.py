"""A plan in terms of vLLM's scheduler: who is in its lists while it makes an iteration, and how they are put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from vllm.v1.core.sched.request_queue import FCFSRequestQueue

from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from engine.vllm.mirror import Mirror

GIVEN_UP = "the policy has given it up"


@dataclass(frozen=True)
class Orders:
    """What a plan asks of vLLM, in requests of vLLM's.

    Attributes
    ----------
    reject : dict
        The reason of each rejection, by the name of its request.
    preempt : list
        The latest first.
    run : list or None
        Who runs on, those that get all their tokens first; and who is about to end. None where all do that run, in
        their order.
    admit : list
        Who waits and may be admitted, in order.
    max_tokens : int
        Tokens of the iteration in all.
    """

    reject: dict[str, str]
    preempt: list[Any]
    run: list[Any] | None
    admit: list[Any]
    max_tokens: int


def orders(plan: Plan, view: View, mirror: Mirror, max_tokens: int) -> Orders:
    """The plan as orders. A request that is preempted in it is not admitted again in the same iteration.

    vLLM feeds those that run in the order of its list, each as much as it needs, until the budget is used up. So where
    one prompt is cut, each entry gets the tokens of the plan; where several are, they share what these get in all. And
    where none is, none will be: the prefix cache may have less of a prompt than the policy saw.
    """
    rows, fed, core = plan.request, plan.num_tokens, mirror.core
    waits, ending = mirror.num_cached == 0, mirror.is_ending
    stays = np.ones(len(waits), np.bool_)
    stays[plan.preempt] = stays[plan.reject] = False
    feeds = stays[rows] & ~ending[rows]
    going, admitted = feeds & ~waits[rows], feeds & waits[rows]
    cut = fed < view.num_remaining[rows]
    run = np.concatenate([np.flatnonzero(ending & stays), rows[going][np.argsort(cut[going], kind="stable")]])
    is_all = np.array_equal(run, np.flatnonzero(~waits))
    reasons = [own or GIVEN_UP for own in plan.reject_reasons or [""] * len(plan.reject)]
    return Orders(
        reject=dict(zip((core[row].request_id for row in plan.reject.tolist()), reasons, strict=True)),
        preempt=[core[row] for row in np.sort(plan.preempt)[::-1].tolist()],
        run=None if is_all else [core[row] for row in run.tolist()],
        admit=[core[row] for row in rows[admitted].tolist()],
        max_tokens=min(max_tokens, int(fed[feeds].sum())) if cut[feeds].any() else max_tokens,
    )


@contextmanager
def only(asked: Orders, scheduler: Any, mirror: Mirror) -> Iterator[None]:
    """While it lasts, vLLM's scheduler has nobody in its lists but who runs or may be admitted, and their budget.

    Whoever is held keeps its cache and its place. Afterwards the lists are whole again; who runs is in order of
    arrival.
    """
    waiting, held = scheduler.waiting, list[Any]()
    limits = scheduler.max_num_active_reqs, scheduler.max_num_scheduled_tokens
    if asked.run is not None:
        runs = set(asked.run)
        held = [request for request in scheduler.running if request not in runs]
        scheduler.running = asked.run
    scheduler.waiting, may = FCFSRequestQueue(asked.admit), set(asked.admit)
    scheduler.max_num_active_reqs = limits[0] - len(held)
    scheduler.max_num_scheduled_tokens = asked.max_tokens
    try:
        yield
    finally:
        scheduler.max_num_active_reqs, scheduler.max_num_scheduled_tokens = limits
        left, scheduler.waiting = scheduler.waiting, waiting
        admitted = may.difference(left)
        if asked.run is not None or admitted:
            scheduler.running = sorted(scheduler.running + held, key=mirror.number)
        if admitted:
            waiting.remove_requests(admitted)
        waiting.prepend_requests(reversed([request for request in left if request not in may]))  # preempted by vLLM
