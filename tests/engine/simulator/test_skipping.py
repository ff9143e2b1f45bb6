"""Iterations in which a plan holds: taken at once they are those that are taken one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.fcfs import FCFS
from aptsched.problem.certificate_log import EXACT
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import ALWAYS, Plan, Policy
from aptsched.scheduling.plan_check import PlanError
from aptsched.scheduling.record import SLO
from aptsched.scheduling.view import View
from caches import cache_of
from engine.loop.clock import SchedulingTime
from engine.loop.iteration import Iteration
from engine.loop.limits import Limits
from engine.models.known_models import MODELS
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.cost import Cost, by_roofline
from engine.simulator.decoding import FORM, LEFT, MORE, START, Counts, Decoding
from engine.simulator.gpus import GPUS
from engine.simulator.stretch import Stretch
from engine.state.batch import Batch
from engine.state.pool import NONE_HELD, BlockPool
from engine.state.request import Request
from engine.study.replay import Replay
from simulated import COST, Served, replay_of, serve, simulate

NAMES = (
    *(
        "fcfs",
        "fcfs:watermark=0.2",
        "vllm-v1",
        "sarathi",
        "sarathi:chunk_tokens=24",
        "random:seed=1",
        "sjf",
        "fastserve",
        "past-future",
        "vtc",
        "andes:period=2:pressure=0.5",
        "wait:limit=5",
        "nested-wait:limit=9",
        "svf",
        "svf:one_bit",
        "svf:lengths=true",
        "jitserve",
        "slos-serve",
        "alise",
        "contract",
    ),
    *("aptserve", "aptserve:forms=kv", "aptserve:forms=hidden", "aptserve:promote=false", "aptserve:order=fcfs"),
    *(
        "aptserve:fallback=none",
        "aptserve:charge=lifetime",
        "aptserve:charge=lifetime:promote=false",
        "aptserve:as=paper",
    ),
    *(
        "fastgen",
        "qoserve",
        "qoserve:chunking=off:fixed_chunk=20:relegation=off",
        "slai:max_decodes=3",
        "slai",
        "scorpio",
    ),
    *("shed(vllm-v1)", "shed(aptserve:forms=kv)", "shed(fastserve)", "fitted(shed(fcfs))", "fitted(shed(sarathi))"),
)
ABSORBED, REBUILT = (by_roofline(MODELS[name], GPUS["a100-80gb"]) for name in ("opt-13b", "llama-2-7b"))
ALL_FORMS = cache_of(int8=Fraction(9, 16), keys=Fraction(2, 3))
COSTS = (COST, ABSORBED, REBUILT.rebuilding())
LENGTHS = st.tuples(st.sampled_from([1, 15, 16, 17, 31, 32, 33, 60]), st.sampled_from([1, 2, 16, 17, 40]))


def plain(iteration: Iteration) -> dict[str, Any]:
    """All that an iteration says; of its decision, whether there is a certificate, and the gap if there is one."""
    gap = None if iteration.gap is None else iteration.gap * (iteration.gap > EXACT)
    said = {**vars(iteration), "gap": gap, "certified": iteration.problem is not None}
    return {name: value for name, value in said.items() if name not in ("problem", "selection")}


def same(skipped: Served, single: Served) -> None:
    """Records and iterations of both are equal, to the last bit."""
    assert skipped.records == single.records
    assert [plain(each) for each in skipped.iterations] == [plain(each) for each in single.iterations]
    assert len(skipped.seen.plans) <= len(single.seen.plans)


@st.composite
def runs(draw: st.DrawFn) -> tuple[str, Replay, dict[str, Any]]:
    """A policy, requests in bursts, some arriving just when an iteration ends, and a machine."""
    options: dict[str, Any] = {
        "num_blocks": draw(st.sampled_from([6, 10, 20, 200])),
        "limits": Limits(draw(st.sampled_from([16, 24, 256])), draw(st.sampled_from([2, 8])), 90),
        "ratio": draw(st.sampled_from([Fraction(1, 2), Fraction(3, 5), Fraction(1)])),
        "scheduling": draw(st.sampled_from([SchedulingTime(), SchedulingTime(0.0, 0.0)])),
        "num_host_blocks": draw(st.sampled_from([0, 30])),
        "cost": draw(st.sampled_from(COSTS)),
    }
    name, lengths = draw(st.sampled_from(NAMES)), draw(st.lists(LENGTHS, min_size=1, max_size=7))
    slo_s = draw(st.sampled_from([0.03, 0.3, 1.0]))
    slo = SLO(slo_s, slo_s)
    ends = [each.end_s for each in simulate(name, replay_of(lengths, slo=slo), **options).iterations]
    times = st.sampled_from([0.0, *ends]) | st.floats(0, 2 * max(ends))
    arrived = sorted(draw(st.lists(times, min_size=len(lengths), max_size=len(lengths))))
    return name, replay_of(lengths, arrived, slo), options


@settings(max_examples=150)
@given(runs())
def test_skipped_iterations_are_those_taken_one_by_one(run: tuple[str, Replay, dict[str, Any]]) -> None:
    """Records, iterations, blocks by form, missed objectives and gaps, whatever policy, machine, bursts and lengths."""
    name, replay, options = run
    single = simulate(name, replay, **options)
    for past_ends in (True, False):
        same(simulate(name, replay, skips=True, past_ends=past_ends, **options), single)


@pytest.mark.parametrize(
    ("name", "decisions"), [("fcfs", 1), ("vllm-v1", 1), ("sarathi", 1), ("sjf", 2), ("random", 2)]
)
def test_a_lone_request_is_decided_on_once_or_twice(name: str, decisions: int) -> None:
    """For its prompt and, where the order of the queue is not that of arrival, once for its decodes."""
    served = simulate(name, replay_of([(20, 300)]), 200, skips=True)
    assert len(served.seen.plans) == decisions and len(served.iterations) == 300


@pytest.mark.parametrize("name", ["fcfs", "vtc", "andes"])
def test_the_last_token_of_a_prompt_is_fed_as_one(name: str) -> None:
    """A prompt of one token more than the budget allows waits behind the next prompt, and its token is no decode."""
    replay, limits = replay_of([(33, 15), (32, 20)]), Limits(16, 8, 90)
    single = simulate(name, replay, limits=limits)
    same(simulate(name, replay, limits=limits, skips=True), single)
    assert sum(each.num_prefill_tokens for each in single.iterations) == 33 + 32


@pytest.mark.parametrize(("past_ends", "ends"), [(True, 0), (False, 5)])
def test_a_stretch_goes_on_where_requests_end_if_it_may(past_ends: bool, ends: int) -> None:
    """Of six requests that begin and decode together, and end one by one: one stretch, or one for each."""
    replay, stretches = replay_of([(20, 10 * i + 1) for i in range(1, 7)]), list[Stretch]()
    serve(FCFS(), replay, 200, skips=True, past_ends=past_ends, on_stretch=stretches.append)
    assert len(stretches) == 1 + ends and sum(map(len, stretches)) == 61


@pytest.mark.parametrize("name", ["shed(vllm-v1)", "shed(sarathi)"])
def test_who_is_admitted_or_preempted_begins_a_stretch(name: str) -> None:
    """Of four requests that take turns in a pool of 12 blocks, each decision admits or preempts one, or follows an end.

    An iteration that does so is the first of a stretch: none is followed by another decision alone to decode.
    """
    served = simulate(name, replay_of([(30, 60), (30, 60), (30, 60), (30, 60)]), 12, skips=True)
    plans, ends = served.seen.plans, sum(len(each.token_at_s) > 0 for each in served.records)
    changes = [len(plan.preempt) > 0 or plan.num_tokens.max() > 1 for plan in plans]
    assert sum(len(plan.preempt) for plan in plans) > 0
    assert sum(not each for each in changes) <= ends and len(plans) < len(served.iterations) / 8


@pytest.mark.parametrize(("name", "num_plans"), [("sjf", 3), ("fcfs", 1)])
def test_decodes_of_who_runs_are_skipped_while_the_first_that_waits_finds_no_room(name: str, num_plans: int) -> None:
    """Of a pool of 6 blocks the first request takes 3 to 6, so that the second, of 4, waits for its end.

    A policy that has said its rule is asked once.
    """
    served = simulate(name, replay_of([(40, 50), (60, 1)]), 6, skips=True)
    assert len(served.seen.plans) == num_plans and len(served.iterations) == 51


@dataclass
class Claims:
    """FCFS that says of every plan that it holds for so many iterations."""

    holds: Any

    def decide(self, view: View) -> Plan:
        """The plan, with the claim."""
        plan = FCFS().decide(view)
        return Plan(plan.request, plan.num_tokens, plan.form, plan.preempt, reject=plan.reject, holds=self.holds)


@dataclass
class Expires:
    """FCFS, all of whose plans hold for as long as iterations begin up to that time."""

    until_s: Any

    def decide(self, view: View) -> Plan:
        """The plan, with the time."""
        return replace(FCFS().decide(view), holds=ALWAYS, holds_until_s=self.until_s, then_decodes=False)


@dataclass
class Says:
    """Says the same plan always."""

    plan: Plan

    def decide(self, view: View) -> Plan:
        """The plan."""
        return self.plan


@given(st.lists(LENGTHS, min_size=1, max_size=6), st.sampled_from([1, 3, ALWAYS]), st.sampled_from([6, 12, 40]))
def test_what_holds_in_name_alone_corrupts_nothing(lengths: list[tuple[int, int]], holds: int, num_blocks: int) -> None:
    """Every request has one record, and no block is lost, also where the claim is wrong."""
    arrived = [0.05 * i for i in range(len(lengths))]
    served = serve(Claims(holds), replay_of(lengths, arrived), num_blocks, skips=True)
    assert sorted(record.request_id for record in served.records) == list(range(len(lengths)))
    assert served.pool.free_blocks == num_blocks


@pytest.mark.parametrize("claim", [1, None, "yes", np.array([True])])
def test_whether_a_plan_then_decodes_is_true_or_false(claim: Any) -> None:
    """Anything else is refused by name."""
    plan = Plan(then_decodes=claim)
    with pytest.raises(PlanError, match=r"^then_decodes: .* is not accepted; True or False is"):
        serve(Says(plan), replay_of([(5, 3)]))


@pytest.mark.parametrize("holds", [-1, 1.0, None, "1", True, np.array([1])])
def test_a_plan_holds_for_a_whole_number_of_iterations(holds: Any) -> None:
    """Anything else is refused by name, on a loop that skips nothing too."""
    with pytest.raises(PlanError, match=r"^holds: .* is not accepted; a whole number of iterations from 0 on is"):
        serve(Claims(holds), replay_of([(5, 3)]))


def test_a_plan_holds_for_as_many_iterations_as_it_says() -> None:
    """Then the policy is asked again: 60 decodes, of which each plan holds for two more, take 20 decisions."""
    policy: Policy = Claims(2)
    served = serve(policy, replay_of([(5, 61)]), skips=True)
    assert len(served.seen.plans) == 1 + 20


def test_a_plan_holds_for_iterations_that_begin_up_to_its_time() -> None:
    """One decision for the prompt and the decodes that begin by then, and one for each that begins later."""
    replay = replay_of([(5, 41)])
    starts = [each.start_s for each in simulate("fcfs", replay, 200).iterations]
    for until_s, in_one in ((starts[30], 30), (np.nextafter(starts[30], 0), 29), (0.0, 0), (np.inf, 40)):
        served = serve(Expires(float(until_s)), replay, 200, skips=True)
        assert [each.start_s for each in served.iterations] == starts
        assert len(served.seen.plans) == 1 + (40 - in_one)


@pytest.mark.parametrize("until_s", [np.nan, 1, None, "1"])
def test_the_time_until_which_a_plan_holds_is_a_float(until_s: Any) -> None:
    """Anything else is refused by name."""
    with pytest.raises(PlanError, match=r"^holds_until_s: .* is not accepted; a float, seconds, is"):
        serve(Expires(until_s), replay_of([(5, 3)]))


def test_whoever_is_told_of_each_token_gets_each_in_its_own_iteration() -> None:
    """With `on_token`, nothing is skipped."""
    served = simulate("fcfs", replay_of([(5, 30)]), skips=True, on_token=lambda request, token_id, now_s: None)
    assert len(served.seen.plans) == 30


@given(data=st.data(), cost=st.sampled_from(COSTS), seed=st.integers(0, 2**32 - 1))
def test_times_of_decodes_are_those_of_their_batches(data: st.DataObject, cost: Cost, seed: int) -> None:
    """In any forms, lossy ones too, whether hidden states are absorbed or rebuilt, or some end first: to the bit."""
    number, rng = data.draw(st.integers(1, 100)), np.random.default_rng(seed)
    start = np.array(data.draw(st.lists(st.integers(1, 5000), min_size=number, max_size=number)))
    forms = st.sampled_from([*CacheForm][1:]) if data.draw(st.booleans()) else st.just(CacheForm.KV)
    form = np.array(data.draw(st.lists(forms, min_size=number, max_size=number)), np.int64)
    executor = ComputedExecutor(cost, ALL_FORMS)
    left = np.full(number, 20) if (form != CacheForm.KV).any() else rng.integers(1, 30, number)
    of = np.zeros((MORE + 1, number), np.int64)
    of[FORM], of[START], of[LEFT] = form, start, left
    decoding = Decoding(of, Counts(number, 0, int(left.min()), int(left.max())), False, NONE_HELD)
    _, num_left, cached, most = decoding.over_iterations(BlockPool(2**20, ALL_FORMS), 20)
    found = executor.decodes_s(num_left, cached)
    assert most == 20
    for i, seconds in enumerate(np.broadcast_to(found, 20).tolist()):
        going = left > i
        n = going.sum()
        ones, samples = np.ones(n, np.int64), np.ones(n, np.bool_)
        requests, table = [Request(0, 0.0, 1)] * n, np.empty((n, 0), np.int64)
        batch = Batch(requests, start[going] + i, ones, form[going], table, samples)
        assert executor.run(batch).duration_s == seconds
