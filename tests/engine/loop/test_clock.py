"""Time: when requests arrive, when tokens come, and how long a policy may idle."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import SLO, Outcome
from aptsched.scheduling.view import View
from engine.loop.clock import VirtualClock, WallClock
from engine.loop.loop import IDLE_S, MAX_IDLE
from loop_runs import All, Idle, OneByOne, check_conserved, make_run, request_of


def test_a_policy_that_idles_neither_spins_nor_waits_for_ever() -> None:
    """It is asked again at each arrival and after a while, and given up a while after the last arrival."""
    policy = Idle()
    run = make_run(policy, [request_of(i, 9, arrived_at_s=i * 2.5 * IDLE_S) for i in range(2)])
    assert run.loop.run(run.requests) == f"nothing ran in {MAX_IDLE} decisions in a row"
    check_conserved(run)
    assert {record.reason for record in run.records} == {f"nothing ran in {MAX_IDLE} decisions in a row"}
    starts = [each.start_s / IDLE_S for each in run.iterations[:5]]
    assert starts == pytest.approx([0, 1, 2, 2.5, 3.5])
    assert policy.num_decisions == 3 + MAX_IDLE  # three before the last arrival


def test_a_policy_that_idles_ends_where_arrivals_last_long() -> None:
    """As long as that takes: 20 s, which is more than the decisions after which it is given up."""
    policy = Idle()
    run = make_run(policy, [request_of(i, 9, arrived_at_s=10.0 * i) for i in range(3)])
    assert run.loop.run(run.requests) == f"nothing ran in {MAX_IDLE} decisions in a row"
    check_conserved(run)
    assert policy.num_decisions >= 20 / IDLE_S + MAX_IDLE


def test_a_policy_that_waits_for_the_last_arrival_is_heard_out() -> None:
    """It has idled for longer than it may once nothing is to arrive, and serves all then."""

    class Late(All):
        def decide(self, view: View) -> Plan:
            return super().decide(view) if view.now_s > 30.5 else Plan()

    run = make_run(Late(), [request_of(i, 9, arrived_at_s=15.0 * i) for i in range(3)])
    assert run.loop.run(run.requests) == ""
    check_conserved(run)
    assert {record.outcome for record in run.records} == {Outcome.FINISHED}


def test_entries_that_never_fit_do_not_deadlock() -> None:
    """Two requests that hold all blocks between them, under a policy that preempts no one."""

    class Stubborn:
        def decide(self, view: View) -> Plan:
            rows = np.arange(len(view.request_id))
            return Plan(rows, view.num_remaining, rows * 0 + 1)

    run = make_run(Stubborn(), [request_of(i, 16, max_tokens=40, ignore_eos=True) for i in range(2)], num_blocks=2)
    run.loop.run(run.requests)
    check_conserved(run)
    assert [len(record.token_at_s) for record in run.records] == [1, 1]


def test_times_and_objectives_are_those_of_the_clock() -> None:
    """Two requests by hand: 10 and 20 tokens at 1 ms each, with the second arriving while the first runs."""
    seen = []

    class Seeing(All):
        def decide(self, view: View) -> Plan:
            seen.append((view.now_s, view.request_id.tolist(), view.missed_slo.tolist(), view.pending_since_s.tolist()))
            return super().decide(view)

    requests = [
        request_of(0, 10, max_tokens=2, ignore_eos=True),
        request_of(1, 20, 0.005, max_tokens=2, ignore_eos=True),
    ]
    requests[0].slo = SLO(ttft_s=0.02, tpot_s=0.02)
    run = make_run(Seeing(), requests)
    run.loop.run(requests)
    assert run.record(0).token_at_s.tolist() == pytest.approx([0.010, 0.031])
    assert run.record(1).token_at_s.tolist() == pytest.approx([0.031, 0.032])
    assert [when for when, *_ in seen] == pytest.approx([0, 0.010, 0.031])
    assert [ids for _, ids, *_ in seen] == [[0], [0, 1], [1]]
    assert seen[1][2:] == ([False, False], pytest.approx([0.010, 0.005]))
    assert [(each.num_prefill_tokens, each.num_decode_tokens) for each in run.iterations] == [(10, 0), (20, 1), (0, 1)]
    assert [each.num_blocks_by_form[CacheForm.KV] for each in run.iterations] == [1, 3, 2]


def test_a_request_that_missed_its_objective_is_marked() -> None:
    """After a first token later than its objective, and not before."""
    seen = []

    class Seeing(OneByOne):
        def decide(self, view: View) -> Plan:
            seen.append(view.missed_slo.tolist())
            return super().decide(view)

    request = request_of(0, 10, max_tokens=2, ignore_eos=True)
    request.slo = SLO(ttft_s=0.009, tpot_s=1.0)
    make_run(Seeing(), [request]).loop.run([request])
    assert seen == [[False], [True]]


def test_under_the_wall_clock_nobody_is_served_before_arrival() -> None:
    """Also in a thread, where Ctrl-C is not held."""
    requests = [request_of(i, 9, arrived_at_s=0.002 * i) for i in range(5)]
    run = make_run(All(), requests, scheduling=None)
    thread = threading.Thread(target=run.loop.run, args=(requests,))
    thread.start()
    thread.join()
    check_conserved(run)
    assert {record.outcome for record in run.records} == {Outcome.FINISHED}
    assert all(record.token_at_s[0] > record.arrived_at_s for record in run.records)


def test_clocks_never_go_back() -> None:
    """Waiting for what is past changes nothing, waiting for what is to come gets there."""
    for clock in (WallClock(), VirtualClock()):
        clock.wait_until(1e-4)
        before = clock.now_s()
        clock.wait_until(-1.0)
        assert before >= 1e-4 and clock.now_s() >= before
    virtual = VirtualClock()
    virtual.wait_until(0.25)
    assert virtual.now_s() == 0.25
    with pytest.raises(AssertionError):
        virtual.wait_until(math.inf)
