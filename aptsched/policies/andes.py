"""Serves those whose quality of experience gains most for their memory, as Andes does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.policies.fcfs import FCFS
from aptsched.policies.option_checks import check_count, check_span, check_watermark
from aptsched.policies.queue import too_large, without_cache
from aptsched.policies.reordered import decide_in_order
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.view import View
from aptsched.support.arrays import count_of, sum_of
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.compiled import compiled, row_by_row
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

RUNNING = 1.5  # weight of the gain of a request that runs
LEAST_S = 1e-9  # objectives below count as this
FULL = 0.9  # share of the room from which on the greedy ends at a misfit


@dataclass(eq=False)
class Andes:
    """As Andes: where memory is scarce, serves now and then those whose quality gains most for each block they take.

    While less of the pool is in use than `pressure`, this is `fcfs`. Above it, once in `period` iterations in which
    somebody waits, those who wait and a few of those who run compete for the blocks that the other running requests
    leave: by the gain in quality for each block, the largest first, who does not fit is skipped, until nine tenths of
    these blocks are taken. Who ran and is not taken is preempted, and recomputed later; of the others, those taken are
    admitted, and nobody else.

    The gain (`gains`) is how much better off a user is in `horizon_s` seconds if the request is served until then than
    if it is not, by what has come of what could be read by then: a token in the time of its objective.

    Parameters
    ----------
    pressure : float
        Share of the pool in use from which on requests compete.
    period : int
        Iterations from one such decision to the next.
    horizon_s : float
    max_preempted : int
        Running requests that may be preempted in a decision: the first whose gain is no more than that of somebody who
        waits.
    watermark : float
        Share of the pool that admission in order of arrival leaves free.

    Notes
    -----
    Source: Liu et al., Andes (arXiv 2404.16283), and the authors' schedulers for vLLM: the pressure of 0.9, the gain,
    the greedy, the horizon of 50 s and the two requests that may be preempted are as there. Their code for vLLM 0.6.1
    decides every 10 iterations, others every 5 or 50. A token is taken to take the time of a decode of those that run,
    as the scheduler predicts it, where the code takes 50 ms.

    Departures: of iterations those count that are under pressure with somebody waiting. Preempted requests keep their
    place in order of arrival. Nobody is preempted for others more often than it has had tokens, so that all end: where
    a prompt takes more iterations than `period`, requests would take the pool from one another before any has a token.
    The policy counts these iterations: make a new object for each run.
    """

    pressure: float = 0.9
    period: int = 50
    horizon_s: float = 50.0
    max_preempted: int = 2
    watermark: float = 0.01

    def __post_init__(self) -> None:
        check_watermark(self.watermark)
        if not 0 <= self.pressure <= 1:
            raise InputError(f"pressure: {shown(self.pressure)} is not accepted; a share of the pool, 0 to 1, is")
        check_span("horizon_s", self.horizon_s)
        check_count("period", self.period)
        check_count("max_preempted", self.max_preempted, least=0)
        self._num_contended = 0
        none = row_by_row(np.empty(0, np.int64))
        take_in_order(none, none, 0, np.empty(0, np.bool_))  # compiled before a decision waits for it

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        policy, waiting = FCFS(self.watermark), np.flatnonzero(~view.running)
        if not len(waiting):
            plan = policy.decide(view)
            return replace(plan, holds=0) if len(plan.preempt) else plan
        running = np.flatnonzero(view.running)
        free = max(0, view.free_blocks - len(running))  # a block for each that runs, as it may need one
        if len(running) and view.num_blocks - free >= self.pressure * view.num_blocks:
            self._num_contended += 1
            if self._num_contended % self.period == 0 and not len(too_large(view)):
                return self._contended(view, running, waiting)
        return replace(policy.decide(view), holds=0)

    def _contended(self, view: View, running: Ints, waiting: Ints) -> Plan:
        """The plan where requests compete."""
        gain = self.gains(view)
        got_more = (view.num_tokens - view.num_prompt_tokens > view.num_preemptions)[running]
        may_leave = running[got_more & (gain[running] <= gain[waiting].max())][: self.max_preempted]
        blocks = view.cache.blocks_by_form(view.num_tokens + 1, np.where(view.running, view.form, KV))
        room = view.num_blocks - sum_of(blocks[running]) + sum_of(blocks[may_leave])
        rows = np.concatenate([may_leave, waiting])
        order = rows[np.argsort(-gain[rows] / blocks[rows], kind="stable")]
        taken = np.zeros(len(gain), np.bool_)
        take_in_order(row_by_row(order), row_by_row(blocks), room, taken)
        preempt, admitted = may_leave[~taken[may_leave]], order[taken[order] & ~view.running[order]]
        served = np.concatenate([running[~np.isin(running, preempt)], admitted])
        plan = decide_in_order(FCFS(self.watermark), without_cache(view, preempt), served)
        return replace(plan, preempt=np.concatenate([preempt, plan.preempt]), holds=0)

    def gains(self, view: View) -> Floats:
        """How much the quality of each request gains if it is served until the horizon, [n]; of who runs, by half more.

        The quality of a request that is served is 1 if its newest token came before it was due; else the square of the
        share of what could be read by then that its user will have. That of a request that is not served is one minus
        the square of the share that will lack; without any token, 1 if its first one is still not due, else 0.
        """
        elapsed_s, length = view.now_s - view.arrived_at_s, view.num_tokens - view.num_prompt_tokens
        tpot_s = np.maximum(view.slo_tpot_s, LEAST_S)
        readable = (elapsed_s + self.horizon_s) / tpot_s
        with_more = length + self.horizon_s / np.maximum(tpot_s, self._token_s(view))
        due_s = view.slo_ttft_s + length * tpot_s
        in_time = (length > 0) & (view.pending_since_s - view.arrived_at_s < due_s)
        served = np.where(in_time, 1.0, np.minimum(1.0, (with_more / readable) ** 2))
        lacks = np.maximum(readable - length, 0.0) / readable
        still_early = elapsed_s + self.horizon_s <= view.slo_ttft_s
        paused = np.where(length > 0, 1.0 - lacks**2, still_early)
        gain: Floats = (served - paused) * np.where(view.running, RUNNING, 1.0)
        return gain

    def _token_s(self, view: View) -> float:
        """Seconds that a token of each running request is predicted to take."""
        count = count_of(view.running)
        return view.times.predict(count, sum_of(view.num_cached[view.running]), num_decodes=count)


@compiled
def take_in_order(order: Ints, blocks: Ints, room: int, taken: Bools) -> None:
    """Takes those that fit, in order, until so much of the room is used that the first misfit ends it.

    `taken`, [n], is written at the positions in `order`; `blocks`, [n].
    """
    used = 0
    for i in range(len(order)):
        at = order[i]
        if used + blocks[at] <= room:
            taken[at] = True
            used += blocks[at]
        elif used >= FULL * room:
            break
