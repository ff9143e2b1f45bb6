"""Studies add up stretches of iterations to the same figures as iterations one by one."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.fcfs import FCFS
from aptsched.policies.named import load_policy
from aptsched.problem.certificate_log import EXACT
from aptsched.scheduling.first_come import FirstCome
from aptsched.scheduling.plan import Plan, means_holds
from aptsched.scheduling.record import SLO
from aptsched.scheduling.view import View
from caches import by_form
from engine.loop.iteration import Iteration
from engine.loop.limits import Limits
from engine.models.known_models import MODELS
from engine.simulator.gpus import GPUS
from engine.simulator.stretch import Fed, Stretch
from engine.study.replay import Replay
from engine.study.served_run import ServedRun
from engine.study.serving import NamedPolicy, Server, serve
from engine.study.simulation import Setup, simulated_server
from engine.study.usage import UsageMeter
from proofs import iterations

SERVER = simulated_server(Setup(MODELS["opt-13b"], GPUS["a100-80gb"], num_blocks=150), Limits())
ONE_BY_ONE = replace(SERVER, skipping=None)
RNG = np.random.default_rng(5)
REPLAY = Replay(np.sort(RNG.uniform(0, 30, 60)), RNG.integers(1, 300, 60), RNG.integers(1, 120, 60), SLO(0.5, 0.05))


LONE = Iteration(0, 0.0, 0.01, 1e-3, 8, 2, 3, by_form(kv=3), 1, 0, 0, 0, 0, 0, 0, None, None)


def served(name: str, server: Server, log: Path | None = None) -> ServedRun:
    return serve(NamedPolicy(name, lambda: load_policy(name)), REPLAY, server, log)


@pytest.mark.parametrize(
    "name",
    ["fcfs", "vllm-v1", "sarathi", "aptserve", "aptserve:forms=kv", "aptserve:forms=hidden", "aptserve:as=paper"],
)
def test_figures_are_those_of_iterations_one_by_one(name: str) -> None:
    """Records and usage with its timeline are equal to the last bit, where blocks are short too.

    But for gaps that are 0 but for rounding: those of several iterations are rounded as in the first of them.
    """
    skipped, single = served(name, SERVER), served(name, ONE_BY_ONE)
    assert skipped.records == single.records and skipped.phases == single.phases
    of_both = [asdict(run.usage) for run in (skipped, single)]
    gaps = [[usage.pop(name) or 0.0 for name in ("gap_mean", "gap_worst")] for usage in of_both]
    for gap, usage in zip(gaps, of_both, strict=True):
        gap += [point.pop("gap") or 0.0 for point in usage["timeline"]]
    assert repr(of_both[0]) == repr(of_both[1]) and gaps[0] == pytest.approx(gaps[1], rel=1e-9, abs=EXACT)


class Counted:
    """Passes on the plans of FCFS."""

    def __init__(self) -> None:
        self.num_decisions, self.other = 0, FCFS()

    def decide(self, view: View) -> Plan:
        self.num_decisions += 1
        return self.other.decide(view)


class Heir(FCFS):
    """Has the `decide` of FCFS, and counts what it calls."""

    num_decisions = 0

    def first_come(self, max_tokens: int, num_blocks: int) -> FirstCome:
        type(self).num_decisions += 1
        return super().first_come(max_tokens, num_blocks)


def test_a_policy_that_passes_plans_on_is_asked_in_every_iteration() -> None:
    """What it might decide otherwise, for example after others have ended, is not passed over."""
    policy = Counted()
    run = serve(NamedPolicy("counted", lambda: policy), REPLAY, SERVER)
    assert policy.num_decisions == run.usage.num_iterations > 0 and means_holds(FCFS())


def test_a_policy_that_inherits_its_decide_is_asked_in_every_iteration() -> None:
    """It is asked as often as one by one, for it may have changed what `decide` calls."""
    run = serve(NamedPolicy("heir", Heir), REPLAY, SERVER)
    often, Heir.num_decisions = Heir.num_decisions, 0
    again = serve(NamedPolicy("heir", Heir), REPLAY, ONE_BY_ONE)
    assert often == Heir.num_decisions > 0 and run.records == again.records and not means_holds(Heir())


@given(
    st.lists(st.integers(1, 40) | st.integers(200, 900), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
    st.floats(0, 20),
)
def test_a_stretch_counts_as_its_iterations(counts: list[int], seed: int, warmup_s: float) -> None:
    """Also where the warm-up ends in it, and where the timeline's points are joined: 512 of them are soon full."""
    rng, now_s = np.random.default_rng(seed), 0.0
    many, single = (UsageMeter(9000, warmup_s) for _ in range(2))
    for count in counts:
        end_s = now_s + rng.uniform(0, 0.1, count).cumsum()
        held = rng.integers(0, 3, (count, 5)).cumsum(axis=0)
        num_seqs, scheduling_s = np.sort(rng.integers(1, 4, count))[::-1], rng.uniform(0, 1e-3, count)
        first = replace(
            LONE,
            start_s=now_s,
            end_s=end_s[0].item(),
            scheduling_s=scheduling_s[0].item(),
            num_seqs=num_seqs[0].item(),
            num_blocks_by_form=tuple(held[0].tolist()),
            num_waiting=count,
        )
        fed = {at: Fed(at, count, 1) for at in range(1, count, 7)}
        stretch = Stretch(first, end_s, scheduling_s, num_seqs, held, count + np.arange(count), fed)
        many.add(stretch)
        for each in stretch.iterations():
            single.add(each)
        now_s = float(end_s[-1])
        for meter in (many, single):
            meter.add(replace(LONE, start_s=now_s, end_s=now_s + 0.01))
    assert repr(many.usage()) == repr(single.usage())


def test_a_decision_of_several_iterations_is_one_line_of_the_log(tmp_path: Path) -> None:
    """The lines hold, cover the iterations that one by one have a line each, and give the same figures."""
    files = [tmp_path / "skipped.jsonl", tmp_path / "single.jsonl"]
    skipped, _ = (
        served("aptserve:forms=kv", server, file) for server, file in zip((SERVER, ONE_BY_ONE), files, strict=True)
    )
    assert all(verdict.holds for file in files for verdict in iterations.verdicts(file))
    many, single = (
        [first + i for first, count, _ in iterations.figures(file).decisions for i in range(count)] for file in files
    )
    assert many == single and len(many) == skipped.usage.num_certified
    assert iterations.num_lines(files[0]) < iterations.num_lines(files[1]) / 3


def test_a_decision_counts_for_its_iterations_after_the_warm_up() -> None:
    """Of one for 5 iterations, of which 2 begin during the warm-up, 3 count; of one before them none."""
    meter = UsageMeter(10, warmup_s=4.5)
    for number in range(8):
        meter.add(replace(LONE, number=number, start_s=float(number), end_s=number + 1.0))
    for number, gap, num_iterations in ((0, 0.5, 3), (3, 0.25, 5)):
        meter.add_decision(number, gap, num_iterations)
    assert (meter.usage().num_certified, meter.usage().gap_mean, meter.usage().gap_worst) == (3, 0.25, 0.25)
