"""Contract: whoever is admitted is never preempted and in time, whatever lengths and arrivals are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.metrics.deadlines import tokens_of
from aptsched.policies.contract import Contract, by_deadline
from aptsched.policies.contract_terms import Terms, chunk_sizes
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import SLO, Outcome
from aptsched.support.errors import InputError
from aptsched.workload.own_columns import OwnColumns
from engine.loop.clock import SchedulingTime
from engine.loop.limits import Limits
from engine.simulator.cost import Cost
from engine.simulator.roofline import Roofline
from engine.study.replay import Replay
from simulated import Served, replay_of, simulate
from views import Seen, running, view_of

# The times believed of it are above the true ones, up to 1,024 tokens of prompts and 64 decodes.
BOUNDED = Cost(Roofline(0.02, 1e-3, 0.0, 1e-5), 0.0, 0.0, "for tests")
NONE_BESIDE = SchedulingTime(0.0, 0.0)
TIMES = IterationTime(fixed_s=0.02, per_token_s=1e-3, per_context_token_s=1e-5)


@st.composite
def adversarial(draw: st.DrawFn) -> Replay:
    """Up to 25 requests in bursts, with objectives of their own, whose outputs end anywhere up to the cap."""
    count, cap = draw(st.integers(1, 25)), draw(st.sampled_from([1, 7, 60]))

    def column(values: st.SearchStrategy[float]) -> list[float]:
        return draw(st.lists(values, min_size=count, max_size=count))

    lengths = zip(column(st.integers(1, 90)), column(st.integers(1, cap)), strict=True)
    arrived = sorted(column(st.sampled_from([0.0, 0.0, 0.1, 0.15, 0.5, 1.7])))
    own = OwnColumns(
        slo_ttft_s=np.array(column(st.sampled_from([0.1, 0.3, 1.0]))),
        slo_tpot_s=np.array(column(st.sampled_from([0.05, 0.1, 0.3]))),
    )
    replay = replay_of([(int(prompt), int(output)) for prompt, output in lengths], arrived)
    return replace(replay, own=own, output_cap=cap)


def broken(served: Served) -> list[int]:
    """Requests that were admitted, and then preempted, late, or not served to their end."""
    began = [record for record in served.records if record.request_id in served.admitted()]
    lateness_s = tokens_of(began).max_lateness_s
    return [
        record.request_id
        for record, late_s in zip(began, lateness_s.tolist(), strict=True)
        if record.outcome is not Outcome.FINISHED
        or record.num_preemptions
        or not late_s <= 1e-9
        or np.diff(record.token_at_s).max(initial=0.0) > record.slo.tpot_s + 1e-9
    ]


@settings(max_examples=60, deadline=None)
@given(
    replay=adversarial(),
    num_blocks=st.integers(3, 40),
    limits=st.builds(Limits, st.integers(2, 300), st.integers(1, 12), st.just(300)),
)
def test_whoever_is_admitted_is_never_preempted_and_always_in_time(
    replay: Replay, num_blocks: int, limits: Limits
) -> None:
    """Whatever lengths, arrivals, objectives, pool and budgets, where the times are a bound."""
    options = {"cost": BOUNDED, "scheduling": NONE_BESIDE}
    served = simulate("contract:margin=0:beside_s=0", replay, num_blocks, limits, **options)
    assert broken(served) == []
    told = [record for record in served.records if record.request_id not in served.admitted()]
    assert all(record.outcome is Outcome.REJECTED for record in told)


@pytest.mark.parametrize("name", ["fcfs", "vllm-v1", "sarathi", "past-future", "slos-serve"])
def test_other_admissions_break_it(name: str) -> None:
    """Twenty requests that grow to their caps over a pool for six: some are admitted, and preempted or late."""
    replay = replace(replay_of([(40, 60)] * 20, [i / 40 for i in range(20)], SLO(1.0, 0.1)), output_cap=60)
    served, ours = (
        simulate(policy, replay, 42, Limits(300, 12, 300), cost=BOUNDED, scheduling=NONE_BESIDE)
        for policy in (name, "contract:margin=0:beside_s=0")
    )
    assert broken(served) and not broken(ours)
    assert len(ours.admitted()) >= 6


def test_memory_is_promised_up_to_the_cap() -> None:
    """A prompt of 16 tokens and a cap of 17 more hold up to 33 - 1 tokens, 2 blocks: of 5 blocks two requests get them.

    They last an iteration longer than their outputs, as their prompts take one: 33 tokens, 3 blocks at its end.
    """
    policy = Contract(margin=0.0, beside_s=0.0)
    view = view_of([Seen(16, most_left=17, arrived_at_s=10.0)] * 3, num_blocks=5, times=TIMES)
    assert policy.decide(view).request.tolist() == [0]
    view = view_of([Seen(16, most_left=16, arrived_at_s=10.0)] * 3, num_blocks=5, times=TIMES)
    assert policy.decide(view).request.tolist() == [0, 1]


def test_slack_by_hand() -> None:
    """A decode of 41 tokens and 10 to go, and a prompt of 30 and 5 to go, chunks of 20: two rounds, seven iterations.

    In iteration t the decode reads 40 + t tokens and the other 29 + t. Both are there until the 7th, which reads 83;
    the 10th reads 50 for one. So none takes more than 0.02 + 0.02 + 2 x 0.001 + 83 x 1e-5 s, and the first token comes
    after two, of 0.1 s.
    """
    requests = [
        running(40, 1, arrived_at_s=9.95, slo_ttft_s=0.05, slo_tpot_s=0.1, most_left=10),
        Seen(30, arrived_at_s=10.0, slo_ttft_s=0.1, slo_tpot_s=0.1, most_left=5),
    ]
    view = view_of(requests, times=TIMES)
    step_s = 0.02 + 0.02 + 2 * 0.001 + 83e-5
    assert Terms(0.0, 0.0).slack_s(view, np.array([0, 1]), 20) == pytest.approx(0.1 - 2 * step_s)
    assert Terms(0.5, 0.003).slack_s(view, np.array([0, 1]), 20) == pytest.approx(0.1 - 2 * (1.5 * step_s + 0.003))


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 60)), min_size=1, max_size=5), st.integers(1, 30))
def test_alone_is_the_case_of_one(lengths: list[tuple[int, int]], num_blocks: int) -> None:
    """What one request without a cache is promised alone is what the terms say of it alone."""
    view = view_of([Seen(prompt, most_left=cap, arrived_at_s=9.9) for prompt, cap in lengths], num_blocks, times=TIMES)
    terms, rows = Terms(0.1, 0.001), np.arange(len(lengths))
    for chunk in chunk_sizes(view):
        alone = terms.slack_alone_s(view, rows, chunk)
        each = [terms.slack_s(view, rows[i : i + 1], chunk) for i in range(len(rows))]
        assert [value if value >= 0 else -1.0 for value in alone] == [value if value >= 0 else -1.0 for value in each]


def test_a_request_that_cannot_be_promised_its_first_token_is_told_at_once() -> None:
    """A prompt that takes 2 s with a TTFT of 1 s is rejected, with its reason, and the next one is served."""
    view = view_of([Seen(2000, arrived_at_s=10.0), Seen(20, arrived_at_s=10.0)], 500, times=TIMES)
    plan = Contract().decide(view)
    assert plan.reject.tolist() == [0] and "even if it were alone" in plan.reject_reasons[0]
    assert plan.request.tolist() == [1]


def test_who_would_break_a_promise_waits() -> None:
    """A decode that is due in 50 ms, and a prompt whose chunks would take longer: the decode goes on without it."""
    decode = running(40, 1, slo_tpot_s=0.06, arrived_at_s=9.0, slo_ttft_s=1.0)
    many = [decode] * 28
    view = view_of([*many, Seen(30, arrived_at_s=10.0)], 500, times=TIMES)
    plan = Contract(margin=0.0, beside_s=0.0).decide(view)
    assert plan.request.tolist() == list(range(28)) and not len(plan.reject) and plan.holds == 0


def test_rows_of_one_deadline_are_in_order_of_arrival() -> None:
    """The earliest deadline first; of two equal ones the one that came first."""
    view = view_of([Seen(5, arrived_at_s=9.0, slo_ttft_s=2.0), Seen(5, arrived_at_s=9.5), Seen(5, arrived_at_s=10.0)])
    assert by_deadline(view, np.array([2, 0, 1])).tolist() == [1, 0, 2]


@pytest.mark.parametrize("options", [{"margin": -0.1}, {"margin": float("nan")}, {"beside_s": -1.0}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    """By name and value, with what is accepted."""
    with pytest.raises(InputError, match=next(iter(options))):
        Contract(**options)


def test_policies_see_the_cap_and_not_the_length() -> None:
    """In a replay the cap is the longest output by default, the same for all whatever their own is."""
    replay = replay_of([(10, 3), (20, 9)])
    views = simulate("fcfs", replay).seen.views
    assert views[0].cap_tokens.tolist() == [19, 29]
    assert simulate("fcfs", replace(replay, output_cap=40)).seen.views[0].cap_tokens.tolist() == [50, 60]
