"""Ctrl-C, errors and plans that are not legal: what was begun is fed again, and nothing leaks."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.plan_check import PlanError
from aptsched.scheduling.record import Outcome
from aptsched.scheduling.view import View
from engine.loop.limits import Limits
from engine.state.batch import Batch, Step
from hash_executor import expected_tokens
from loop_runs import (
    EOS,
    SEEDS,
    All,
    OneByOne,
    callbacks,
    check_conserved,
    entry,
    make_requests,
    make_run,
    request_of,
    saying,
)
from random_policy import RandomPolicy


@pytest.mark.parametrize("where", ["run", "decide", "on_token", "on_iteration", "on_record"])
@pytest.mark.parametrize("at", [1, 5])
def test_ctrl_c_ends_a_run_with_every_request_accounted_for(where: str, at: int) -> None:
    """Wherever it is pressed; those not yet arrived are unfinished too."""
    run = make_run(All(), make_requests(np.random.default_rng(3), 12), limits=Limits(64, 8, 70))
    num_calls = 0

    def pressing(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            nonlocal num_calls
            num_calls += 1
            if num_calls == at:
                signal.raise_signal(signal.SIGINT)
            return call(*given)

        return wrapped

    owner, name = next((owner, name) for owner, name in callbacks(run) if name == where)
    setattr(owner, name, pressing(getattr(owner, name)))
    with pytest.raises(KeyboardInterrupt):
        run.loop.run(run.requests)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    check_conserved(run)
    outcomes = Counter(record.outcome for record in run.records)
    assert outcomes[Outcome.UNFINISHED] and outcomes[Outcome.UNFINISHED] + outcomes[Outcome.FINISHED] == 12
    assert {record.reason for record in run.records if record.outcome is Outcome.UNFINISHED} == {"interrupted"}


@given(SEEDS)
@settings(max_examples=30)
def test_a_step_that_is_broken_off_can_be_gone_on_from(seed: int) -> None:
    """What the broken batch wrote or copied is fed again; tokens are as ever."""
    rng = np.random.default_rng(seed)
    run = make_run(RandomPolicy(rng), make_requests(rng, 8), num_host_blocks=10)
    whole = run.executor.run

    def breaking(batch: Batch) -> Step:
        if rng.random() < 0.1:
            raise KeyboardInterrupt
        step = whole(batch)
        if rng.random() < 0.1:
            raise KeyboardInterrupt
        return step

    for request in run.requests:
        run.loop.add(request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.executor, "run", breaking)
        while run.worker.num_unfinished:
            try:
                run.loop.step()
            except KeyboardInterrupt:
                run.pool.check_integrity()
    assert all(request.output_token_ids == expected_tokens(request, 70, EOS) for request in run.requests)


OUT, BACK = Plan(swap_out=np.array([0])), Plan(swap_in=np.array([0]))


def test_a_request_goes_on_after_a_swap_with_nothing_fed_again() -> None:
    """Of 30 tokens 20 are cached, go to the host and come back; the other 10 are fed, and then the decode."""
    plans = [entry(20), OUT, Plan(), BACK, entry(10), entry(1)]
    run = make_run(saying(plans), [request_of(0, 30, max_tokens=2, ignore_eos=True)], num_host_blocks=2)
    run.loop.run(run.requests)
    check_conserved(run)
    (record,) = run.records
    assert run.requests[0].output_token_ids == expected_tokens(run.requests[0], 70)
    assert (record.num_swap_outs, record.num_preemptions, record.num_recomputed_tokens) == (1, 0, 0)
    assert [each.num_prefill_tokens for each in run.iterations] == [20, 0, 0, 0, 10, 0]
    assert [each.num_swapped_blocks for each in run.iterations] == [0, 2, 0, 2, 0, 0]
    assert [(each.num_swap_outs, each.num_swap_ins) for each in run.iterations[1:4]] == [(1, 0), (0, 0), (0, 1)]
    held = [(each.num_blocks_by_form[CacheForm.KV], each.num_waiting) for each in run.iterations[:4]]
    assert held == [(2, 0), (0, 0), (0, 0), (2, 0)]


@pytest.mark.parametrize("broken", [1, 2])
def test_what_was_being_swapped_when_a_step_was_broken_off_is_preempted(broken: int) -> None:
    """On its way out and on its way back: all 30 tokens are fed again."""
    plans = [entry(20), OUT, BACK, entry(30), entry(1)]
    run = make_run(saying(plans[: broken + 1] + plans[3:]), [request_of(0, 30, max_tokens=2)], num_host_blocks=2)
    run.loop.add(run.requests[0])
    for _ in range(broken):
        run.loop.step()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.executor, "run", lambda batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.loop.step()
    run.pool.check_integrity()
    assert (run.pool.free_blocks, run.pool.host.free_blocks) == (20, 2)
    while run.worker.num_unfinished:
        run.loop.step()
    (record,) = run.records
    assert run.requests[0].output_token_ids == expected_tokens(run.requests[0], 70, EOS)
    assert (record.num_swap_outs, record.num_preemptions, record.num_recomputed_tokens) == (1, 1, 20)


@pytest.mark.parametrize("end", ["preempt", "reject", "abort"])
def test_a_copy_on_the_host_is_dropped_with_its_request(end: str) -> None:
    """Preempted, given up or aborted while it is swapped out; the host's blocks are free again."""
    drop = {"abort": Plan(), "preempt": Plan(preempt=np.array([0])), "reject": Plan(reject=np.array([0]))}[end]
    run = make_run(saying([entry(20), OUT, drop, entry(30)]), [request_of(0, 30, max_tokens=1)], num_host_blocks=2)
    run.loop.add(run.requests[0])
    run.loop.step()
    run.loop.step()
    assert run.pool.host.free_blocks == 0
    if end == "abort":
        run.worker.abort(0)
    run.loop.step()
    run.pool.check_integrity()
    assert run.pool.host.free_blocks == 2 and run.pool.free_blocks == 20
    assert run.worker.num_unfinished == (end == "preempt")


def test_a_plan_that_is_not_legal_ends_the_run_with_every_request_accounted_for() -> None:
    """The error goes on to the caller; its message is the reason of those that did not end."""

    class Wrong(OneByOne):
        def decide(self, view: View) -> Plan:
            return super().decide(view) if view.now_s < 0.3 else Plan(request=np.array([-1]))

    run = make_run(Wrong(), make_requests(np.random.default_rng(4), 10))
    with pytest.raises(PlanError, match="request: row -1 is not accepted"):
        run.loop.run(run.requests)
    check_conserved(run)
    reasons = {record.reason for record in run.records if record.outcome is Outcome.UNFINISHED}
    (reason,) = reasons
    assert reason.startswith("PlanError: request: row -1")
