"""A study on a computed clock from Python: what the command prints and writes, as a value."""

from __future__ import annotations

import gc
import inspect
import json
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from aptsched import InputError, Plan, View
from aptsched.cli.simulate import simulate as command
from aptsched.policies import FCFS, AptServe
from aptsched.workload import Trace
from commands import call
from engine import SimulateOptions, simulate
from solvers import core

SMALL: dict[str, Any] = {"workload": "humaneval", "num_requests": 12}
ARGUMENTS = ("simulate", "--workload", "humaneval", "--num-requests", "12", "--jobs", "1")
LENGTHS = [(40, 3), (30, 5), (200, 2)]


class Failing:
    """Decides nothing."""

    def decide(self, view: View) -> Plan:
        raise RuntimeError("no idea")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("keywords", "arguments"),
    [
        ({}, []),
        (
            {"policy": ["aptserve:select=core", "sjf"], "select": {"core": core.exact_selection}, "rate": [3, 6]},
            ["--policy", "aptserve:select=core", "sjf", "--rate", "3", "6"],
        ),
        (
            {"policy": "aptserve", "certificates": "gzip", "warmup": 1, "slo_ttft": 2, "seed": 3},
            ["--policy", "aptserve", "--certificates", "gzip", "--warmup", "1", "--slo-ttft", "2", "--seed", "3"],
        ),
        ({"policy": "aptserve", "certificates": "none"}, ["--policy", "aptserve", "--certificates", "none"]),
    ],
)
def test_the_files_are_those_of_the_command(tmp_path: Path, keywords: dict[str, Any], arguments: list[str]) -> None:
    """Byte for byte, wherever the study is written, and as often."""
    assert call(*ARGUMENTS, *arguments, "--out", str(tmp_path / "command")) == 0
    study = simulate(**SMALL, **keywords)
    for name in ("once", "again"):
        written = study.write(tmp_path / name)
        assert contents(tmp_path / name) == contents(tmp_path / "command")
        assert json.loads((tmp_path / name / "results.json").read_text()) == written


def test_document_and_tables_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints with --json, and without."""
    study = simulate(**SMALL)
    assert call(*ARGUMENTS, "--json", "--certificates", "none") == 0
    printed = json.loads(capsys.readouterr().out)
    for each in (document := dict(study.document), printed):
        each.update(options={**each["options"], "certificates": "none"}, sha256="")
    assert document == printed
    assert call(*ARGUMENTS) == 0
    assert repr(study) == f"{capsys.readouterr().out}2 of 2 runs are complete."


def test_one_process_or_two() -> None:
    """The records are the same."""
    one, two = (simulate(**SMALL, rate=[3, 6], jobs=jobs) for jobs in (1, 2))
    assert [run.records for run in one.runs] == [run.records for run in two.runs]


def test_pandas_reads_what_is_written(tmp_path: Path) -> None:
    """A row for each request with the columns of requests.csv, and one for each run."""
    study = simulate(**SMALL, rate=[3, 6])
    study.write(tmp_path)
    requests = study.to_pandas()
    read = pandas.read_csv(tmp_path / "requests.csv", keep_default_na=False, na_values={"ttft_s": "", "p99_tbt_s": ""})
    assert list(requests.columns) == list(read.columns) and len(requests) == 4 * 12
    for name in ("policy", "request_id", "ttft_s", "p99_tbt_s", "num_tokens", "attained_ttft"):
        assert requests[name].astype(read[name].dtype).equals(read[name])
    summary = study.to_pandas("summary")
    assert list(summary["ttft_median_s"]) == [each["ttft"]["median_s"] for each in study.document["summary"]]


def test_pandas_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message says how to install it, and an unknown table which there are."""
    study = simulate(**SMALL, policy="fcfs")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"pip install 'aptsched\[report\]' brings it"):
        study.to_pandas()
    with pytest.raises(InputError, match="table: 'runs' is not known; requests, summary are"):
        study.to_pandas("runs")


def test_policies_of_ones_own() -> None:
    """Classes and objects serve beside those that have a name, as these do, and the results name them."""
    study = simulate(**SMALL, policy={"mine": FCFS(), "class": AptServe, "named": "fcfs"}, rate=20)
    mine, apt, named = study.runs
    assert [run.policy for run in study.runs] == ["mine", "class", "named"] == study.document["options"]["policy"]
    assert mine.records == named.records and apt.usage.num_certified > 0


def test_a_policy_that_fails_leaves_the_others() -> None:
    """It is in `failed` with the reason, and the notices say so."""
    study = simulate(**SMALL, policy=["fcfs", Failing])
    assert [run.policy for run in study.runs] == ["fcfs"] and not study.complete
    assert repr(simulate(**SMALL, policy=Failing)) == "0 of 1 runs are complete."
    (failed,) = study.failed
    assert "policy: Failing raised RuntimeError at " in failed.reason and failed.reason in " ".join(
        study.document["notices"]
    )


def test_requests_of_ones_own() -> None:
    """Pairs of lengths, or triples with arrivals, as a trace of the same numbers would be."""
    arrived = [(0.5 * i, *lengths) for i, lengths in enumerate(LENGTHS)]
    trace = Trace(np.array([0.0, 0.5, 1.0]), *np.array(LENGTHS).T)
    given, same = (simulate(trace=each, policy="fcfs") for each in (arrived, trace))
    assert given.runs[0].records == same.runs[0].records
    assert [len(record.token_at_s) for record in given.runs[0].records] == [3, 5, 2]
    assert simulate(trace=iter(LENGTHS), policy="fcfs", rate=2).document["options"]["trace"] == "3 requests"
    first = simulate(trace=arrived, policy="fcfs", num_requests=2).runs[0]
    assert [record.arrived_at_s for record in first.records] == [0.0, 0.5]


@pytest.mark.skipif(not hasattr(signal, "raise_signal") or os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_keeps_what_is_done() -> None:
    """The run that it ends is the last one, with the requests that had ended."""

    def press(num_ended: int, num_requests: int) -> None:
        assert num_requests == 36
        if num_ended == 15:
            signal.raise_signal(signal.SIGINT)

    study = simulate(**SMALL, policy="fcfs,aptserve,sarathi", progress=press)
    assert [run.policy for run in study.runs] == ["fcfs", "aptserve"] and not study.complete
    assert [run.complete for run in study.runs] == [True, False]
    assert repr(study).endswith("1 of 3 runs are complete.")


def test_what_else_ends_it_early_is_said() -> None:
    """An error of the caller's own: raised where nothing is done yet, kept beside the runs that are."""

    def fail(at: int, num_ended: int) -> None:
        if num_ended == at:
            raise ZeroDivisionError

    study = simulate(**SMALL, progress=lambda num_ended, total: fail(13, num_ended))
    assert isinstance(study.error, ZeroDivisionError) and [run.policy for run in study.runs] == ["fcfs"]
    assert repr(study).endswith("1 of 2 runs are complete. It ended early: ZeroDivisionError()")
    with pytest.raises(ZeroDivisionError):
        simulate(**SMALL, progress=lambda num_ended, total: fail(3, num_ended))


def test_logs_go_with_the_study() -> None:
    """They are kept in a temporary folder as long as somebody holds the study."""
    study = simulate(**SMALL, policy="aptserve")
    log = study.runs[0].certificates
    assert log is not None and log.is_file()
    del study
    gc.collect()
    assert not log.parent.exists()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"trace": None, "workload": None}, "trace, workload: neither is given; one of them is accepted"),
        ({"model": "gpt-5"}, "model: 'gpt-5' is not known"),
        ({"gpu": "tpu"}, "gpu: 'tpu' is not known"),
        ({"tp": "2"}, "tp: '2' is not accepted; a whole number is"),
        ({"slo_ttft": "1"}, "slo_ttft: '1' is not accepted; a number is"),
        ({"rate": "fast"}, "rate: 'fast' is not accepted; numbers are"),
        ({"rate": 0}, "rate: 0.0 is not accepted"),
        ({"jobs": 0}, "jobs: 0 is not accepted; at least 1 is"),
        ({"warmup": 1e6}, "warmup: 1000000.0 is not accepted; 0 to the last arrival"),
        ({"certificates": "zip"}, "certificates: 'zip' is not accepted; plain, gzip, none are"),
        ({"foreign_calibration": True}, "foreign_calibration: it is given without a calibration"),
        ({"max_tokens": 0}, "max_tokens: 0 is not accepted"),
        ({"policy": "best"}, "policy: 'best' is not known"),
        ({"trace": [(1,)], "workload": None}, "trace: a list of something else is not accepted; a path, a Trace, or"),
        ({"trace": [(0, 1)], "workload": None}, "prompt_tokens[0]: 0 is not accepted"),
    ],
)
def test_bad_options(keywords: dict[str, Any], message: str) -> None:
    """One message, as of the command."""
    with pytest.raises(InputError) as caught:
        simulate(**{**SMALL, **keywords})
    assert message in str(caught.value)


def test_how_swaps_and_rebuilding_are_computed_is_said() -> None:
    """Below the tables, where it is not what the cost says; and that nothing is swapped where there is no host."""
    source = simulate(**SMALL, policy="fcfs", swap="grouped", executed_rho=0.001).document["cost"]["source"]
    swaps = "swaps in coarse groups beside the computing, as FastSwitch makes them"
    assert source.endswith(f"; blocks are rebuilt in 0.001 s, as given; {swaps}")
    assert "swaps" not in simulate(**SMALL, policy="fcfs").document["cost"]["source"]
    for swap, said in (("blocks", ["--swap blocks: there is no host to swap to."]), ("bytes", [])):
        assert simulate(**SMALL, policy="fcfs", swap=swap, swap_space="0").document["notices"] == said


def test_names_and_defaults_are_those_of_the_command() -> None:
    """But for the processes, which a script must allow for, and where logs go where nothing is written."""
    ours = {field.name: field.default for field in fields(SimulateOptions)}
    theirs = {name: each.default for name, each in inspect.signature(command).parameters.items()}
    for name in theirs.keys() - {"context", "out", "as_json", "jobs", "certificates"}:
        assert ours[name] == (tuple(theirs[name]) if isinstance(theirs[name], list) else theirs[name])
    assert theirs.keys() - ours.keys() == {"context", "out", "as_json"}
    assert list(inspect.signature(simulate).parameters) == list(ours)
