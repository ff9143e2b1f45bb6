"""First come, first served: legal plans, in order of arrival, never stuck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from aptsched import InputError
from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.view import View
from views import Seen, assert_legal, blocks_moved, running, view_of, views


@settings(max_examples=150)
@given(view=views())
def test_plans_are_legal(view: View) -> None:
    """Each entry once, tokens and forms as the plan promises, within budgets and blocks."""
    assert_legal(view, FCFS().decide(view))


@settings(max_examples=150)
@given(view=views())
def test_never_stuck(view: View) -> None:
    """Whenever a request is left that the pool can hold, somebody is served."""
    plan = FCFS().decide(view)
    assert len(plan.request) or len(plan.reject) == len(view.request_id)


@settings(max_examples=150)
@given(view=views())
def test_admits_in_order_of_arrival(view: View) -> None:
    """No request that waits is admitted before one that came earlier."""
    plan = FCFS().decide(view)
    waiting = np.setdiff1d(np.flatnonzero(~view.running), plan.reject)
    admitted = plan.request[~view.running[plan.request]]
    assert admitted.tolist() == waiting[: len(admitted)].tolist()


@settings(max_examples=150)
@given(view=views())
def test_preempts_the_latest(view: View) -> None:
    """Nobody who goes on came later than one who is preempted, and memory needs the last one preempted."""
    plan = FCFS().decide(view)
    if not len(plan.preempt):
        return
    assert plan.request.max() < plan.preempt.min()
    first = int(plan.preempt.min())
    left = view.max_tokens - int(plan.num_tokens.sum()) if len(plan.request) < view.max_seqs else 0
    spared = replace(
        plan,
        preempt=np.setdiff1d(plan.preempt, [first]),
        request=np.append(plan.request, first),
        num_tokens=np.append(plan.num_tokens, min(left, view.num_remaining[first])),
        form=np.append(plan.form, view.form[first]),
    )
    free, taken = blocks_moved(view, spared)
    assert taken > free


def test_prefill_goes_first() -> None:
    """While a prompt can be admitted, what runs does not decode."""
    plan = FCFS().decide(view_of([running(30), Seen(20), Seen(40)]))
    assert plan.request.tolist() == [1, 2] and plan.num_tokens.tolist() == [20, 40]


def test_decodes_all_when_nothing_can_be_admitted() -> None:
    """Eleven blocks do not hold a prompt of ten beside two that run."""
    plan = FCFS().decide(view_of([running(20), running(10), Seen(160)], num_blocks=11))
    assert plan.request.tolist() == [0, 1] and plan.num_tokens.tolist() == [1, 1]


def test_the_first_holds_up_the_queue() -> None:
    """A small request behind one that does not fit waits as well."""
    plan = FCFS().decide(view_of([running(160), Seen(160), Seen(10)], num_blocks=15))
    assert plan.request.tolist() == [0]


def test_watermark() -> None:
    """Admission leaves 1% of the pool free beside what runs."""
    assert FCFS().decide(view_of([running(16 * 49), Seen(16 * 50)])).request.tolist() == [1]
    assert FCFS().decide(view_of([running(16 * 49), Seen(16 * 51)])).request.tolist() == [0]


def test_no_watermark_for_a_lone_request() -> None:
    """A prompt that takes the whole pool is admitted when nothing runs."""
    assert FCFS().decide(view_of([Seen(1600)])).request.tolist() == [0]


def test_sequence_limit_counts_what_runs() -> None:
    """Two that run leave one place of three."""
    plan = FCFS().decide(view_of([running(10), running(10), Seen(10), Seen(10)], max_seqs=3))
    assert plan.request.tolist() == [2]


def test_a_prompt_beyond_the_token_budget_runs_alone_in_chunks() -> None:
    """Admitted first in the queue with the whole budget, then continued, its last chunk beside the next prompt."""
    first = FCFS().decide(view_of([Seen(250), Seen(10)], max_tokens=100))
    assert (first.request.tolist(), first.num_tokens.tolist()) == ([0], [100])
    second = FCFS().decide(view_of([Seen(250, num_cached=100), Seen(10)], max_tokens=100))
    assert (second.request.tolist(), second.num_tokens.tolist()) == ([0], [100])
    third = FCFS().decide(view_of([Seen(250, num_cached=200), Seen(10)], max_tokens=100))
    assert (third.request.tolist(), third.num_tokens.tolist()) == ([0, 1], [50, 10])


def test_rejects_what_the_pool_can_never_hold() -> None:
    """Ten blocks of 16 tokens hold 160 tokens with a KV cache."""
    plan = FCFS().decide(view_of([Seen(161), Seen(160)], num_blocks=10))
    assert plan.reject.tolist() == [0] and plan.request.tolist() == [1]
    assert plan.form.tolist() == [CacheForm.KV]


def test_no_requests_no_entries() -> None:
    """An empty view idles."""
    assert len(FCFS().decide(view_of([])).request) == 0


@pytest.mark.parametrize("watermark", [-0.1, 1.0, float("nan")])
def test_bad_watermark(watermark: float) -> None:
    """A share below 0 or of the whole pool is an input error that names it."""
    with pytest.raises(InputError, match="watermark"):
        FCFS(watermark)
