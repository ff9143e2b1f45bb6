"""What iterations take, against what the calibration says."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.aptserve import AptServe
from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import SLO
from aptsched.workload.trace import Trace
from caches import by_form
from engine.calibration.measure import uniform_batch
from engine.calibration.pace import Pace, is_off
from engine.loop.limits import Limits
from engine.state.batch import Batch, Copies, Step
from engine.study import run_table
from engine.study.replay import replay
from engine.study.served_run import ServedRun
from engine.study.serving import NamedPolicy, Server, serve
from hash_executor import VOCABULARY, HashExecutor
from loop_runs import NO_SCHEDULING_TIME

CACHE = CacheShape()
TIMES = IterationTime(fixed_s=0.002, per_token_s=1e-3, per_context_token_s=1e-5, rho_s_per_block=1e-4)
NUM_BLOCKS = 24


class Slow:
    """Takes what is given, whatever the batch."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(self, batch: Batch) -> Step:
        return Step(self.seconds, np.full(len(batch.requests), -1))


def served(times: IterationTime, calibrated: bool = True) -> ServedRun:
    """Requests on an executor that takes 1 ms a token."""
    trace = Trace(np.arange(12) * 0.01, [20 + 7 * i for i in range(12)], [1 + 5 * i % 17 for i in range(12)])
    executor = HashExecutor(NUM_BLOCKS, CACHE, seconds_per_token=0.001)
    server = Server(executor, CACHE, NUM_BLOCKS, NO_SCHEDULING_TIME, Limits(256, 8, 512), times, calibrated=calibrated)
    return serve(NamedPolicy("fcfs", FCFS), replay(trace, SLO(), 2.0, vocab_size=VOCABULARY), server)


@given(st.floats(1e-4, 1e4))
def test_a_machine_that_is_so_many_times_as_slow_is_seen_to_be(factor: float) -> None:
    """The ratio of a run is that of what a token takes to what it was calibrated to take; half more or less is off."""
    run = served(IterationTime(per_token_s=0.001 / factor))
    assert run.pace == pytest.approx(factor)
    noted = [line for line in run_table.notices([run]) if line.startswith("fcfs, 2 a second: ")]
    assert len(noted) == is_off(run.pace)
    assert is_off(run.pace) or 0.49 < factor < 1.51
    assert not is_off(run.pace) or not 0.51 < factor < 1.49


def test_what_it_means_is_said_once() -> None:
    """Below the lines of all runs that were not as calibrated."""
    slow = served(IterationTime(per_token_s=1e-4))
    *lines, means = run_table.notices([slow, served(IterationTime(per_token_s=0.001)), slow])
    assert lines == ["fcfs, 2 a second: iterations took 10 times what the calibration says"] * 2
    assert "the machine was busy then or now" in means


def test_without_a_calibration_nothing_is_compared() -> None:
    """Times that nobody measured, or of 0 s, are no measure."""
    for run in (served(TIMES, calibrated=False), served(IterationTime())):
        assert math.isnan(run.pace) and not run_table.notices([run])


def test_a_prediction_counts_tokens_context_and_blocks_that_are_rebuilt() -> None:
    """Of two hidden requests of 40 cached tokens and one more: 3 KV blocks each."""
    batch = uniform_batch(2, 40, 1, CacheForm.HIDDEN, CACHE)
    pace = Pace(Slow(1.0), TIMES, CACHE)
    pace.run(batch)
    assert pace.ratio == pytest.approx(1 / TIMES.predict(2, 80, by_form(hidden=6)))
    pace.run(uniform_batch(1, 0, 33, CacheForm.KV, CACHE))
    assert pace.ratio == pytest.approx(2 / (TIMES.predict(2, 80, by_form(hidden=6)) + TIMES.predict(33)))


def test_swaps_and_promotions_are_left_out() -> None:
    """Their iterations take what no prediction has."""
    pace, copies = Pace(Slow(1.0), TIMES, CACHE), Copies(np.arange(2), np.arange(2))
    pace.run(dataclasses.replace(uniform_batch(1, 16, 1, CacheForm.KV, CACHE), swap_out=copies))
    assert math.isnan(pace.ratio)
    hybrid = served_by_aptserve()
    assert sum(record.num_promotions for record in hybrid.records) and hybrid.pace == pytest.approx(1.0)


def served_by_aptserve() -> ServedRun:
    """On a pool so short that requests begin as hidden states and are promoted later."""
    trace = Trace(np.zeros(8), [60] * 8, [12] * 8)
    times = IterationTime(per_token_s=0.001)
    server = Server(
        HashExecutor(NUM_BLOCKS, CACHE),
        CACHE,
        NUM_BLOCKS,
        NO_SCHEDULING_TIME,
        Limits(512, 8, 512),
        times,
        calibrated=True,
    )
    return serve(NamedPolicy("aptserve", AptServe), replay(trace, SLO(), 1.0, vocab_size=VOCABULARY), server)


def test_importing_the_engine_first_limits_how_long_threads_spin() -> None:
    """OpenMP's own setting is there before torch, unless the user has chosen one."""
    for chosen, expected in (({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")):
        environment = {
            name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
        }
        code = "import engine, os, sys; assert 'torch' not in sys.modules; print(os.environ.get('GOMP_SPINCOUNT'))"
        found = subprocess.run(
            [sys.executable, "-c", code], env={**environment, **chosen}, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == expected
