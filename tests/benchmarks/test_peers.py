"""Comparisons with other programs: whoever is missing, fails or hangs is a line; the same work goes to all."""

from __future__ import annotations

import csv
import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from aptsched import BatchProblem
from aptsched.problem import instance
from benchmarks.peers.__main__ import measured
from benchmarks.peers.engines import Engines
from benchmarks.peers.exact import MEMORY, ZERO_ONE, Exact, families, whole_values
from benchmarks.peers.peer import Adapter, Peer
from benchmarks.peers.simulators import OURS, Simulators, write_traces
from solvers import core

HERE = sys.executable
NOWHERE = "/nowhere/bin/python"
TINY = BatchProblem([[3.0], [2.0], [2.0]], [[3], [2], [2]], 4)  # both of the lighter ones, not the first


def answer_of(adapter: Adapter, question: dict[str, object], timeout_s: float = 60) -> tuple[object, str | None]:
    """What a peer answers, and its fault."""
    with Peer(adapter, timeout_s) as peer:
        return peer.ask(question), peer.fault


def test_an_interpreter_that_is_not_there_is_a_line() -> None:
    """It names the path, and where to read on."""
    answer, fault = answer_of(Adapter("sched-sim", NOWHERE, "run_sched_sim"), {})
    assert answer is None
    assert fault == f"{NOWHERE} cannot be run (No such file or directory); docs/peers.md says how to get it"


@pytest.mark.skipif(find_spec("sched_sim") is not None, reason="sched-sim is installed")
def test_a_package_that_is_not_installed_is_a_line() -> None:
    """Its adapter says so of itself."""
    answer, fault = answer_of(Adapter("sched-sim", HERE, "run_sched_sim"), {})
    assert (answer, fault) == (None, "not found; docs/peers.md says how to get it")


def test_a_peer_that_fails_is_the_last_line_that_it_printed() -> None:
    """At its start, and while it answers; another question gets no answer either."""
    answer, fault = answer_of(Adapter("own", HERE, "run_method", {"method": "none", "package": ""}), {})
    assert answer is None and fault is not None
    assert fault.startswith("failed: aptsched.support.errors.InputError: method: 'none' is not known")
    with Peer(Adapter("core", HERE, "run_method", {"method": "core", "package": ""}), 60) as peer:
        assert peer.version and peer.fault is None
        assert peer.ask({}) is None
        assert peer.fault == "failed: KeyError: 'instance'"
        assert peer.ask({}) is None


def test_a_peer_that_does_not_answer_in_time_is_ended() -> None:
    """No interpreter starts in a microsecond."""
    peer = Peer(Adapter("core", HERE, "run_method", {"method": "core", "package": ""}), 1e-6)
    assert peer.fault == "no answer within 1e-06 s"
    assert peer.ask({}) is None


@pytest.mark.parametrize("solver", ["branch-and-bound", "dynamic-programming"])
def test_knapsack_solvers_of_ortools_pack_what_core_serves(solver: str) -> None:
    """On the instance in whole numbers that they are given."""
    pytest.importorskip("ortools")
    question = {"values": whole_values(TINY), "weights": [3, 2, 2], "capacity": 4, "time_limit_s": 10, "calls": 2}
    answer, fault = answer_of(Adapter(solver, HERE, "run_knapsack", {"solver": solver}), question)
    assert fault is None and isinstance(answer, dict)
    selection = core.solve(TINY).selection
    assert selection is not None
    assert answer["packed"] == np.flatnonzero(selection.form).tolist() == [1, 2]
    assert answer["says_optimal"]


def test_a_method_answers_with_its_objective_compiled_or_plain(tmp_path: Path) -> None:
    """The same one, whichever way its loops run."""
    instance.save(TINY, tmp_path / "tiny.json")
    question = {"instance": str(tmp_path / "tiny.json"), "time_limit_s": 10, "calls": 3}
    job = {"method": "core", "package": ""}
    for environment in ({}, {"NUMBA_DISABLE_JIT": "1"}):
        answer, fault = answer_of(Adapter("core", HERE, "run_method", job, environment), question)
        assert fault is None and isinstance(answer, dict)
        assert answer["objective_s"] == 4.0 and answer["says_optimal"] and answer["seconds"] > 0


def test_whole_values_keep_the_ratios_and_fit_into_64_bits() -> None:
    """Those of few bits are kept exactly."""
    values = whole_values(BatchProblem([[0.375], [0.75], [1e-9]], [[1], [1], [1]], 2))
    assert values[1] == 2 * values[0] and values[2] > 0
    assert 2**48 < sum(values) < 2**50


def test_families_have_the_same_requests_with_and_without_a_hidden_form() -> None:
    """In KV form alone memory and values are those of the instance in both forms; a few seeds give a few instances."""
    found = families(2, 3)
    for both, alone in zip(found[MEMORY.name], found[ZERO_ONE], strict=True):
        assert both.num_forms == 2 and alone.num_forms == 1 and both.capacity == alone.capacity
        assert (both.values[:, :1] == alone.values).all() and (both.weights[:, :1] == alone.weights).all()
    assert [len(problems) for problems in found.values()] == [2, 2, 2, 2]


def test_an_optimum_that_is_claimed_and_is_not_one_is_counted_as_wrong(tmp_path: Path) -> None:
    """One that is not claimed is only so far below."""
    exact = Exact({"aptsched": HERE, "ortools": HERE}, 1, 1, tmp_path, 1.0)
    best = {"seconds": 1e-3, "objective_s": 100.0, "says_optimal": True}
    exact.answers[ZERO_ONE, "core", 0] = best
    exact.answers[ZERO_ONE, "branch-and-bound", 0] = best | {"objective_s": 99.0, "seconds": 4e-3}
    exact.answers[ZERO_ONE, "cpsat", 0] = best | {"objective_s": 98.0, "says_optimal": False}
    of = {row["method"]: row for row in exact.rows()}
    assert [(row["wrong"], row["proved"]) for row in of.values()] == [(0, "1 of 1"), (1, "1 of 1"), (0, "0 of 1")]
    assert of["branch-and-bound"]["ratio"] == 0.25
    assert math.isclose(of["cpsat"]["worst_below"], 0.02)


def test_all_simulators_get_the_same_requests(tmp_path: Path) -> None:
    """In the format of each: arrivals to the microsecond, and lengths; fewer requests are the first ones."""
    write_traces(tmp_path, [1, 30], 0)
    ours, vidur = (list(csv.reader((tmp_path / f"{name}-30").open())) for name in (OURS, "vidur"))
    theirs = json.loads((tmp_path / "sched-sim-30").read_text())
    assert len(ours) == 31 and ours[1:] == vidur[1:]
    assert [[float(at), int(prompt), int(output)] for at, prompt, output in ours[1:]] == [
        [each["timestamp"], each["prompt_tokens"], each["output_tokens"]] for each in theirs
    ]
    assert (tmp_path / f"{OURS}-1").read_text().splitlines() == [",".join(row) for row in ours[:2]]


def test_simulators_that_are_missing_leave_our_own_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Apt-Serve against vllm-v1, both on the same requests; the others are a line each; Ctrl-C keeps what is done."""

    class Stopped(Simulators):
        def measure(self) -> None:
            super().measure()
            raise KeyboardInterrupt

    pythons = {OURS: HERE, "sched-sim": NOWHERE, "vidur": NOWHERE}
    document, stopped = measured("simulators", Stopped(pythons, [4], 1, tmp_path, 120))
    assert stopped and set(document["faults"]) == {"sched-sim", "vidur"}
    (row,) = document["rows"]
    assert (row["policy"], row["against"], row["requests"]) == ("aptserve", "vllm-v1", 4)
    assert [each["finished"] for each in row["predicted"]] == [4, 4]
    said = capsys.readouterr()
    assert f"vidur: {NOWHERE} cannot be run" in said.out and "what is done is kept" in said.err


@pytest.mark.slow
def test_engines_that_read_the_same_weights_say_the_same(tmp_path: Path) -> None:
    """In fp32 transformers goes on with our tokens; the others are missing."""
    pytest.importorskip("transformers")
    pythons = {OURS: HERE, "transformers": HERE, "vllm": NOWHERE, "llama.cpp": NOWHERE}
    engines = Engines(pythons, ["fp32"], [2], 1, 1, tmp_path, 300)
    engines.measure()
    assert set(engines.faults) == {"vllm fp32", "llama.cpp fp32"}
    (row,) = engines.rows()
    assert (row["against"], row["same_outputs"]) == ("transformers", "2 of 2")
    assert math.isclose(row["ratio"], row["theirs_tokens_per_s"] / row["ours_tokens_per_s"])
