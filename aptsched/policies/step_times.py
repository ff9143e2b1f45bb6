"""What iterations took, as a policy sees it, and the times that fit this."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.known_before import known_before
from aptsched.policies.times_fit import CHARGED, TimesFit
from aptsched.scheduling.forms import KV
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan, nothing
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.arrays import all_of, any_of, equal, largest_of
from aptsched.support.checks import Floats, Ints

MOVES = ("convert", "swap_out", "swap_in")  # take time that is not predicted
CHANGES = ("preempt", "reject", *MOVES)


@dataclass(frozen=True, eq=False)
class _Begun:
    """Entries that have been fed since some time, by number: in one iteration, or one token each in many."""

    at_s: float
    request_id: Ints
    num_tokens: Ints
    num_cached: Ints
    fed: Ints
    form: Ints
    only_decodes: bool
    is_predicted: bool


class StepTimes:
    """Learns from how long iterations took between what the policy saw before and after them.

    A policy asks `times` as it begins to decide, and calls `decided` with its plan, and `on_record`. Iterations in a
    row that only decode the same requests, or those of them that are left, are learnt from as one, by their means, once
    others are fed; what was learnt shows after the next iteration that does more. So it is the same whether a
    simulation asks the policy in each of these iterations or takes those in which its plan holds at once.

    Notes
    -----
    It remembers: make a new object for each run.
    """

    def __init__(self) -> None:
        self._fit: TimesFit | None = None
        self._begun: _Begun | None = None
        self._going: Ints = nothing()  # requests that were decoded last, by number
        self._ended: dict[int, tuple[int, float]] = {}  # tokens of those that ended meanwhile, and when the last came
        self._unlearnt: list[tuple[Floats, float]] = []

    def times(self, view: View) -> IterationTime:
        """The times that fit what iterations took; at first those of the view."""
        if self._fit is None:
            self._fit = TimesFit(view.times)
        if self._begun is not None and not self._begun.only_decodes:
            self._close(view)
            for amounts, took_s in self._unlearnt:
                self._fit.add(amounts, took_s)
            self._unlearnt.clear()
        return self._fit.times

    def decided(self, view: View, plan: Plan) -> bool:
        """Takes note of what is fed from now on; returns whether that is decodes alone."""
        begun = _begun_by(view, plan) if len(plan.request) else None
        if begun is not None and begun.only_decodes and self._goes_on(view, begun):
            self._going = begun.request_id
            return True
        if self._begun is not None:
            self._close(view)
        self._begun, self._going = begun, nothing() if begun is None else begun.request_id
        return begun is not None and begun.only_decodes

    def on_record(self, record: RequestRecord) -> None:
        """Keeps how far a request came that has ended."""
        if self._begun is not None and record.num_output_tokens:
            num_tokens = record.num_prompt_tokens + record.num_output_tokens
            self._ended[record.request_id] = num_tokens, float(record.token_at_s[-1])

    def _goes_on(self, view: View, begun: _Begun) -> bool:
        """Whether the same requests go on to decode, but for those that have ended."""
        if self._begun is None or not self._begun.only_decodes:
            return False
        if len(begun.request_id) == len(self._going):
            return equal(begun.request_id, self._going)
        left = self._going[known_before(view.request_id, self._going)[0]]
        return len(left) == len(begun.request_id) and equal(left, begun.request_id)

    def _close(self, view: View) -> None:
        """Keeps what is over by now to be learnt from."""
        begun, ended = self._begun, self._ended
        assert begun is not None
        self._begun, self._ended = None, {}
        if not begun.is_predicted:
            return
        if not begun.only_decodes:
            if len(view.request_id) and view.arrived_at_s[0] <= begun.at_s:  # else the loop may have waited for it
                self._unlearnt.append((_amounts(view, begun, begun.fed, 1), view.now_s - begun.at_s))
            return
        end = _end_of_decodes(view, begun, ended)
        if end is not None:
            num_tokens, end_s = end
            count = largest_of(num_tokens)
            self._unlearnt.append((_amounts(view, begun, num_tokens, count), (end_s - begun.at_s) / count))


def _begun_by(view: View, plan: Plan) -> _Begun:
    """What a plan with entries begins."""
    rows, fed = plan.request, plan.num_tokens
    request_id = view.request_id[rows]
    cached = view.num_cached[rows]
    if len(plan.preempt):
        cached = np.where(np.isin(rows, plan.preempt), 0, cached)
    changes = any(len(getattr(plan, name)) for name in CHANGES)
    one_each = not changes and all_of(cached > 0) and largest_of(view.num_remaining[rows]) == 1
    is_predicted = not any(len(getattr(plan, name)) for name in MOVES)
    order = request_id.argsort()
    return _Begun(
        at_s=view.now_s,
        request_id=request_id[order],
        num_tokens=view.num_tokens[rows][order],
        num_cached=cached[order],
        fed=fed[order],
        form=plan.form[order],
        only_decodes=one_each,
        is_predicted=is_predicted,
    )


def _end_of_decodes(view: View, begun: _Begun, ended: dict[int, tuple[int, float]]) -> tuple[Ints, float] | None:
    """Tokens that each request got in its decodes, [b], and when the last came; None where that is not known."""
    here, rows = known_before(view.request_id, begun.request_id)
    over = [ended.get(number) for number in begun.request_id[~here].tolist()]
    known = [each for each in over if each is not None]
    if len(known) < len(over):
        return None
    after = np.empty(len(here), np.int64)
    after[here] = view.num_tokens[rows]
    after[~here] = [num_tokens for num_tokens, _ in known]
    last_s = [*view.pending_since_s[rows].tolist(), *(last_s for _, last_s in known)]
    num_tokens: Ints = after - begun.num_tokens
    return (num_tokens, max(last_s)) if largest_of(num_tokens) > 0 else None


def _amounts(view: View, begun: _Begun, num_tokens: Ints, count: int) -> Floats:
    """Amounts of an iteration, as of `TimesFit.add`: of `count` in which each request got so many tokens, the means."""
    tokens = float(num_tokens.sum())
    read, decodes = float(begun.num_cached.sum()), float(((begun.num_cached > 0) & (num_tokens == 1)).sum())
    if begun.only_decodes:
        read, decodes = float((num_tokens * (2 * begun.num_cached + num_tokens - 1)).sum()) / 2, tokens
    prefills = float(count * (tokens > decodes))
    charged = [0.0, 0.0]
    if any_of(begun.form != KV):
        times = num_tokens if begun.only_decodes else np.ones_like(num_tokens)
        blocks = view.cache.blocks(begun.num_cached + (num_tokens + 1) // 2, KV) * times
        charged = [float(blocks[of[begun.form]].sum()) for of in CHARGED]
    return np.array([float(count), tokens, read, decodes, prefills, *charged]) / count
