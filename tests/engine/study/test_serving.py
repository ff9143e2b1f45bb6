"""The serving study: the same requests for every policy, and what is said of the iterations."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.aptserve import AptServe
from aptsched.policies.fcfs import FCFS
from aptsched.problem import certificate_log
from aptsched.report.table import Column, Section, show
from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.record import SLO, Outcome
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from aptsched.workload.trace import Trace
from engine.loop.limits import Limits
from engine.study import run_table
from engine.study.arrival_source import ArrivalSource, traces
from engine.study.replay import Replay, replay
from engine.study.served_run import ServedRun
from engine.study.serving import NamedPolicy, Server, serve, serve_all
from hash_executor import VOCABULARY, HashExecutor
from loop_runs import NO_SCHEDULING_TIME
from proofs import sources, verification

NUM_BLOCKS = 24
TRACE = Trace(np.arange(30) * 0.01, [20 + 7 * i % 90 for i in range(30)], [1 + 5 * i % 40 for i in range(30)])
POLICIES = [NamedPolicy("fcfs", FCFS), NamedPolicy("aptserve", AptServe)]


def server() -> Server:
    """On a pool short of memory, under computed time."""
    cache = CacheShape()
    times = IterationTime(fixed_s=0.01, per_token_s=1e-4, rho_s_per_block=1e-4)
    return Server(HashExecutor(NUM_BLOCKS, cache), cache, NUM_BLOCKS, NO_SCHEDULING_TIME, Limits(256, 8, 512), times)


def requests(**options: int) -> Replay:
    return replay(TRACE, SLO(0.5, 0.1), 100.0, seed=3, vocab_size=VOCABULARY, **options)


def served(policies: list[NamedPolicy]) -> list[ServedRun]:
    """Of each policy on the same requests; none has failed."""
    runs = list(serve_all(policies, [requests()], server()))
    whole = [run for run in runs if isinstance(run, ServedRun)]
    assert len(whole) == len(runs)
    return whole


def prompts(replay: Replay) -> list[list[int]]:
    """Token ids of each request's prompt."""
    ids = [request.prompt_token_ids for request in replay.requests()]
    return [of_request.tolist() for of_request in ids if of_request is not None]


class Failing:
    """First come, first served, up to a decision in which something else happens."""

    def __init__(self, what: Plan | BaseException) -> None:
        self.what, self.num_decisions, self.policy = what, 0, FCFS()

    def decide(self, view: View) -> Plan:
        self.num_decisions += 1
        if self.num_decisions < 5:
            return self.policy.decide(view)
        if isinstance(self.what, Plan):
            return self.what
        raise self.what


def failing(what: Plan | BaseException) -> NamedPolicy:
    def make() -> Policy:
        return Failing(what)

    return NamedPolicy("failing", make)


def test_every_policy_serves_the_same_requests() -> None:
    """Number, arrival, prompt and output of each, whatever order they end in."""
    runs = served(POLICIES)
    assert [run.policy for run in runs] == ["fcfs", "aptserve"] and all(run.complete for run in runs)
    first, second = (
        [(r.request_id, r.arrived_at_s, r.num_prompt_tokens, len(r.token_at_s)) for r in run.records] for run in runs
    )
    assert first == second and [r[0] for r in first] == list(range(30))
    assert [r[3] for r in first] == TRACE.output_tokens.tolist()


def test_prompts_depend_on_seed_and_number_alone() -> None:
    """Twice the same, other ones for another seed, and the same where others are clipped."""
    one, again = (prompts(requests()) for _ in range(2))
    other = prompts(dataclasses.replace(requests(), seed=4))
    assert one == again != other
    assert [max(prompt) < VOCABULARY for prompt in one] == [True] * 30


def test_what_is_clipped_is_counted() -> None:
    """A request counts once; outputs of 0 tokens are served one and are not clipped."""
    trace = Trace([0.0, 1.0, 2.0, 3.0], [10, 100, 10, 100], [0, 5, 50, 50])
    clipped = replay(trace, SLO(), 1.0, max_prompt_tokens=40, max_output_tokens=20)
    assert clipped.num_prompt_tokens.tolist() == [10, 40, 10, 40]
    assert clipped.num_output_tokens.tolist() == [1, 5, 20, 20]
    assert clipped.num_clipped == 3 and replay(trace, SLO(), 1.0).num_clipped == 0


def test_rates_draw_the_same_arrivals_out() -> None:
    """Of a workload: lengths are equal, and times are inverse to the rate, to the microsecond of a trace."""
    (slow, one), (fast, other) = traces(ArrivalSource(workload="sharegpt", num_requests=20, seed=5), [2.0, 4.0])
    assert (slow, fast) == (2.0, 4.0) and one.arrived_at_s is not None and other.arrived_at_s is not None
    assert np.array_equal(one.prompt_tokens, other.prompt_tokens)
    assert np.allclose(one.arrived_at_s, 2 * other.arrived_at_s, atol=3e-6)


def test_a_trace_keeps_its_gaps_but_for_a_factor(tmp_path: Path) -> None:
    """The first requests of it, the first at 0; its own rate where none is asked for."""
    path = tmp_path / "trace.csv"
    path.write_text("arrived_at_s,prompt_tokens,output_tokens\n5,1,1\n6,2,1\n8,3,1\n9,4,1\n")
    source = ArrivalSource(trace=str(path), num_requests=3)
    ((own, trace),) = traces(source)
    assert own == pytest.approx(2 / 3) and trace.arrived_at_s is not None and trace.arrived_at_s.tolist() == [0, 1, 3]
    ((_, faster),) = traces(source, [2.0])
    assert faster.arrived_at_s is not None and faster.arrived_at_s == pytest.approx([0, 1 / 3, 1])
    with pytest.raises(InputError, match="num_requests: 5 is not accepted; the trace has 4"):
        next(traces(dataclasses.replace(source, num_requests=5)))
    with pytest.raises(InputError, match="cv: the trace has arrivals"):
        next(traces(dataclasses.replace(source, cv=2.0)))


def test_every_decision_is_in_the_log_and_holds(tmp_path: Path) -> None:
    """By the checker that knows no method; a policy that solves no problem leaves no log."""
    runs = [serve(policy, requests(), server(), tmp_path / f"{policy.name}.jsonl") for policy in POLICIES]
    assert [path.name for path in tmp_path.iterdir()] == ["aptserve.jsonl"]
    report = verification.report(sources.read(tmp_path / "aptserve.jsonl"), lambda _: None)
    assert not report.failures and report.num_holding == runs[1].usage.num_certified > 10
    assert report.worst_gap == runs[1].usage.gap_worst and runs[0].usage.gap_worst is None
    assert runs[1].usage.block_s_by_form[CacheForm.HIDDEN] > 0


@given(st.lists(st.text("ab/:=._- \u00e9", min_size=1, max_size=150), min_size=2, max_size=2, unique=True))
def test_two_policies_never_have_one_log(paths: list[str]) -> None:
    """A name for each, which a file can have, whatever the paths of the policies are."""
    names = [certificate_log.file_name(f"{path}.py:Mine") for path in paths]
    assert names[0] != names[1] and all(name and len(name) < 200 and "/" not in name for name in names)


def test_logs_are_named_after_policy_and_rate() -> None:
    """As little as tells them apart."""
    name = certificate_log.file_name
    assert name("aptserve:select=core", kind="gzip") == "certificates-aptserve-select-core.jsonl.gz"
    assert name("vllm-v1", 0.5) == "certificates-vllm-v1-rate0.5.jsonl"
    assert name("fcfs", 1.0000001) == "certificates-fcfs-rate1.0000001.jsonl"
    assert name("fcfs", kind="none") is None


def test_an_illegal_plan_is_one_message_and_leaves_no_file(tmp_path: Path) -> None:
    """It names the policy."""
    plan = Plan(np.array([10**6]), np.array([1]), np.array([CacheForm.KV]))
    with pytest.raises(InputError, match="policy failing: request: row 1000000 is not accepted"):
        serve(failing(plan), requests(), server(), tmp_path / "log.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_study_with_what_is_done() -> None:
    """The run that it ends has a record for every request; no run follows."""
    policies = [POLICIES[0], failing(KeyboardInterrupt()), POLICIES[1]]
    runs = served(policies)
    assert [(run.policy, run.complete) for run in runs] == [("fcfs", True), ("failing", False)]
    outcomes = {record.outcome for record in runs[1].records}
    assert len(runs[1].records) == 30 and Outcome.UNFINISHED in outcomes


def test_what_is_counted_after_ctrl_c_is_what_had_ended() -> None:
    """And not the requests that it left unfinished; how many these are is said."""
    told: list[int] = []

    def watch(policy: str, replay: Replay, num_ended: int) -> None:
        told.append(num_ended)

    (run,) = serve_all([failing(KeyboardInterrupt())], [requests()], server(), watch=watch)
    assert isinstance(run, ServedRun) and run.reason == "interrupted"
    left = sum(record.outcome is Outcome.UNFINISHED for record in run.records)
    assert told == list(range(30 - left + 1)) and left > 0
    assert run_table.notices([run]) == [
        f"failing, 100 a second: {30 - left} of 30 requests had ended, {left} are unfinished: interrupted"
    ]


def test_a_prompt_that_never_fits_is_rejected_and_the_others_go_on() -> None:
    """With the numbers."""
    trace = dataclasses.replace(TRACE, prompt_tokens=np.array([2000, *TRACE.prompt_tokens[1:]]))
    run = serve(POLICIES[1], replay(trace, SLO(), 1.0, vocab_size=VOCABULARY), server())
    assert run.records[0].outcome is Outcome.REJECTED and "2000" in run.records[0].reason
    assert {record.outcome for record in run.records[1:]} == {Outcome.FINISHED}
    assert "aptserve: 1 rejected, first request 0: num_prompt_tokens: 2000" in "".join(
        run_table.notes([run], requests())
    )


@pytest.fixture(scope="module")
def run() -> ServedRun:
    """Of Apt-Serve, on all requests."""
    return serve(POLICIES[1], requests(), server())


def lines_of(runs: list[ServedRun]) -> list[str]:
    """All tables as they are printed, without notes."""
    file = io.StringIO()
    tables: list[tuple[tuple[Column, ...], list[Section]]] = [
        (run_table.LATENCY, run_table.latency_sections(runs)),
        (run_table.engine_columns(runs), run_table.engine_sections(runs)),
        (run_table.RATES, run_table.rate_sections(runs)),
    ]
    for columns, sections in tables:
        show(columns, sections, [], file)
    return file.getvalue().splitlines()


NAMES = st.lists(st.text("ab:=./-_", min_size=1, max_size=120), min_size=1, max_size=4, unique=True)
COUNTS = st.integers(0, 10**9)


def test_policies_have_their_whole_names_in_every_table(run: ServedRun) -> None:
    """One that is too long for its row stands above it, for no two can be mistaken then."""
    names = ["fcfs", "aptserve:select=core:forms=kv", "aptserve:select=core:forms=hidden", "some/where/policy.py:Mine"]
    lines = lines_of([dataclasses.replace(run, policy=name, rate_per_s=r) for r in (10.0, 20.0) for name in names])
    assert max(map(len, lines)) <= 80
    assert lines[4].startswith("fcfs ") and lines[5] == names[1] and lines[6].startswith("     ")
    assert [sum(line == name or line.startswith(f"{name} ") for line in lines) for name in names] == [5] * 4


@settings(max_examples=30)
@given(NAMES, COUNTS, st.floats(0, 1e9), st.floats(1e-6, 1e9))
def test_tables_have_80_columns_whatever_is_in_them(
    run: ServedRun, names: list[str], count: int, seconds: float, rate: float
) -> None:
    """Names of any length and number, counts up to a milliard, times of milliseconds and of years."""
    record = dataclasses.replace(run.records[0], num_preemptions=count, num_swap_outs=count, num_promotions=count)
    record = dataclasses.replace(record, token_at_s=record.token_at_s + seconds)
    usage = dataclasses.replace(run.usage, gap_mean=1.0, gap_worst=1.0, scheduling_s=run.usage.busy_s)
    one = dataclasses.replace(run, records=(record,), usage=usage)
    runs = [dataclasses.replace(one, policy=name, rate_per_s=r) for r in (rate, 2 * rate) for name in names]
    lines = lines_of(runs)
    assert max(map(len, lines)) <= 80
    together = "".join("".join(lines).split())
    assert all(together.count("".join(name.split())) >= 5 for name in names)


def test_the_rate_that_holds_is_said_also_beyond_the_rates_tried(run: ServedRun) -> None:
    """All of it within generous objectives, none within tight ones."""

    def rows(slo: SLO, rates_per_s: list[float]) -> list[Section]:
        records = tuple(dataclasses.replace(record, slo=slo) for record in run.records)
        return run_table.rate_sections([dataclasses.replace(run, records=records, rate_per_s=r) for r in rates_per_s])

    assert rows(SLO(1e6, 1e6), [1.0, 2.0])[0].rows == [["aptserve", *["2/s or more"] * 3]]
    assert rows(SLO(1e-6, 1e-6), [1.0, 2.0])[0].rows == [["aptserve", *["below 1/s"] * 3]]
    assert rows(SLO(), [1.0]) == []


def test_no_rate_holds_of_a_run_that_is_not_stable(run: ServedRun) -> None:
    """Though every request attains: it ends later than 60 s + 3 times its time alone after it arrived."""
    records = tuple(dataclasses.replace(record, slo=SLO(1e6, 1e6), arrived_at_s=-100.0) for record in run.records)
    runs = [
        dataclasses.replace(run, records=each, rate_per_s=rate_per_s, alone_s=np.full(len(each), 1.0))
        for rate_per_s, each in ((1.0, run.records), (2.0, records))
    ]
    assert [each.metrics.stable for each in runs] == [True, False] and runs[1].metrics.attained == 1
    attained = run_table.held_of(runs, "aptserve").attained[0]
    levels = ["1/s" if attained >= level else "below 1/s" for level in (0.6, 0.9, 0.99)]
    assert run_table.rate_sections(runs)[0].rows == [["aptserve", *levels]]
