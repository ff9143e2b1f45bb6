"""The gap study from Python: what the command prints and writes, as a value."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import sys
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas
import pytest

from aptsched import BatchProblem, InputError, Selection, greedy
from aptsched.cli.gap import gap as command
from commands import call
from solvers import GapOptions, gap

SMALL: dict[str, Any] = {"workload": "sharegpt", "num_requests": 20, "instances": 2, "methods": ["greedy", "core"]}
ARGUMENTS = ("gap", "--workload", "sharegpt", "--num-requests", "20", "--instances", "2", "--methods", "greedy", "core")
TIMES = ("seconds", "median_call_s", "seconds_median", "seconds_p99")


def mine(problem: BatchProblem, time_limit_s: float | None = None) -> Selection:
    """The greedy's own answer."""
    return greedy(problem)


def wrong(problem: BatchProblem, time_limit_s: float | None = None) -> str:
    """No answer at all."""
    return "all of them"


def untimed(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what is timed, and without digests, which are of all."""
    plain = json.loads(json.dumps(document))
    rows = [{**row, **dict.fromkeys(TIMES)} for row in plain["records"]]
    summary = [{**row, **dict.fromkeys(TIMES)} for row in plain["summary"]]
    return {**plain, "records": rows, "summary": summary, "files": [], "sha256": ""}


@pytest.mark.parametrize(
    ("keywords", "arguments"),
    [
        ({}, []),
        ({"load": [0.1, 0.5], "rho": 1e-4, "seed": 3}, ["--load", "0.1", "0.5", "--rho", "1e-4", "--seed", "3"]),
        (
            {"num_requests": [20, 40], "hidden_ratio": Fraction(1, 3), "max_tokens": 4096, "time_limit": 5},
            ["--num-requests", "40", "--hidden-ratio", "1/3", "--max-tokens", "4096", "--time-limit", "5"],
        ),
    ],
)
def test_the_files_are_those_of_the_command(tmp_path: Path, keywords: dict[str, Any], arguments: list[str]) -> None:
    """The same names, and the same contents but for what is timed; `out` is where they are."""
    assert call(*ARGUMENTS, *arguments, "--out", str(tmp_path / "study")) == 0
    printed = json.loads((tmp_path / "study" / "results.json").read_text())
    names = sorted(path.name for path in (tmp_path / "study").iterdir())
    for path in (tmp_path / "study").iterdir():
        path.unlink()
    study = gap(**{**SMALL, **keywords})
    written = study.write(tmp_path / "study")
    assert sorted(path.name for path in (tmp_path / "study").iterdir()) == names
    assert untimed(written) == untimed(printed)
    assert json.loads((tmp_path / "study" / "results.json").read_text()) == json.loads(json.dumps(written))
    assert call("verify", str(tmp_path / "study")) == 0


def test_document_and_table_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints with --json, and without."""
    study = gap(**SMALL)
    assert call(*ARGUMENTS, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert untimed(study.document) == untimed({**printed, "options": {**printed["options"], "as_json": False}})
    assert call(*ARGUMENTS) == 0
    ours, theirs = (re.sub(r"[0-9.]+m?s", "0s", text) for text in (repr(study), capsys.readouterr().out))
    assert ours.split() == [*theirs.split(), *["2", "of", "2", "instances", "are", "done."]]


def test_pandas_reads_what_is_written(tmp_path: Path) -> None:
    """A row for each instance and method with the columns of results.csv, and one for each row of the table."""
    study = gap(**SMALL)
    study.write(tmp_path)
    records, read = study.to_pandas(), pandas.read_csv(tmp_path / "results.csv")
    assert list(records.columns) == list(read.columns) and len(records) == 4
    for name in ("instance", "method", "sha256", "objective_s", "per_block_s", "seconds"):
        assert records[name].equals(read[name])
    assert list(study.to_pandas("summary")["method"]) == ["greedy", "core"]


def test_pandas_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message says how to install it."""
    study = gap(**SMALL)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"pip install 'aptsched\[report\]' brings it"):
        study.to_pandas()


def test_functions_of_ones_own() -> None:
    """They go by their names, or by those of a mapping, and their answers are checked."""
    study = gap(**{**SMALL, "methods": ["greedy", mine]})
    assert study.document["options"]["methods"] == ["greedy", "mine"]
    assert all(ours.objective_s == theirs.objective_s for ours, theirs in study.results)
    assert {record.guarantee for record in study.records if record.method == "mine"} == {"none"}
    named = gap(**{**SMALL, "methods": {"first": mine, "second": mine}})
    assert [record.method for record in named.results[0]] == ["first", "second"]


def test_requests_of_ones_own() -> None:
    """Queues are cut out of pairs of lengths as out of a file of them."""
    study = gap(**{**SMALL, "workload": None, "trace": [(100 + i, 20) for i in range(50)], "instances": 1})
    assert study.document["options"]["trace"] == "50 requests" and study.complete
    assert study.instances[0].id == "trace-n20-load0.25-0"


def test_progress_is_told_before_each_solve() -> None:
    """How many are done, how many there are, and what comes next."""
    told: list[tuple[int, int, str]] = []
    gap(**SMALL, progress=lambda *each: told.append(each))
    ids = [f"sharegpt-n20-load0.25-{j}, {method}" for j in range(2) for method in ("greedy", "core")]
    assert told == [(number, 4, doing) for number, doing in enumerate(ids)]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("at", "num_done"), [(0, 0), (2, 1), (3, 1)])
def test_ctrl_c_keeps_what_is_done(at: int, num_done: int) -> None:
    """The instance that was begun is left out."""

    def press(num_begun: int, num_solves: int, doing: str) -> None:
        if num_begun == at:
            signal.raise_signal(signal.SIGINT)

    study = gap(**SMALL, progress=press)
    assert len(study.results) == num_done and not study.complete and study.error is None
    assert repr(study).endswith(f"{num_done} of 2 instances are done.")


def test_what_else_ends_it_early_is_kept_beside_what_is_done() -> None:
    """A solver that answers wrongly later: raised where nothing is done yet, which is at the first small problem."""

    def late(problem: BatchProblem, time_limit_s: float | None = None) -> Selection | str:
        calls.append(problem.num_requests)
        return "nothing" if len(calls) > 5 else greedy(problem)

    calls: list[int] = []
    study = gap(**{**SMALL, "methods": late})
    assert isinstance(study.error, InputError) and "methods: late answered wrongly" in str(study.error)
    assert len(study.results) == 1 and "It ended early: InputError(" in repr(study)
    with pytest.raises(InputError, match="methods: wrong answered wrongly: 'all of them' is not accepted"):
        gap(**{**SMALL, "methods": wrong})


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"workload": None}, "trace, workload: neither is given; one of them is accepted"),
        ({"workload": "chess"}, "workload: 'chess' is not known"),
        ({"num_requests": "many"}, "num_requests: 'many' is not accepted; whole numbers are"),
        ({"num_requests": 2.5}, "num_requests: '2.5' is not accepted; whole numbers are"),
        ({"num_requests": []}, "num_requests: nothing is given; at least one is needed"),
        ({"instances": 0}, "instances: 0 is not accepted"),
        ({"instances": "2"}, "instances: '2' is not accepted; a whole number is"),
        ({"time_limit": 0}, "time_limit: 0.0 is not accepted"),
        ({"hidden_ratio": "half"}, "hidden_ratio: 'half' is not accepted"),
        ({"methods": "cplex"}, "method: 'cplex' is not known"),
        ({"methods": [mine, mine]}, "methods: the name 'mine' is not accepted; text without commas that no other has"),
        ({"methods": 3}, "methods: 'int' cannot be called; `solve(problem, time_limit_s)` is accepted"),
        ({"methods": {}}, "methods: nothing is given; at least one is needed"),
        ({"seed": -1}, "seed: -1 is not accepted"),
    ],
)
def test_bad_options(keywords: dict[str, Any], message: str) -> None:
    """One message, as of the command."""
    with pytest.raises(InputError) as caught:
        gap(**{**SMALL, **keywords})
    assert message in str(caught.value)


def test_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    """A study that was ended before its first instance has no files."""

    def press(*told: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InputError, match="out: no instance is done"):
        gap(**SMALL, progress=press).write(tmp_path / "study")


def test_names_and_defaults_are_those_of_the_command() -> None:
    """But for what the command alone does: writing and printing."""
    ours = {field.name: field.default for field in fields(GapOptions)}
    theirs = {name: each.default for name, each in inspect.signature(command).parameters.items()}
    assert theirs.keys() - ours.keys() == {"context", "out", "as_json"} and ours.keys() - theirs.keys() == {"progress"}
    for name in ours.keys() & theirs.keys():
        assert ours[name] == (tuple(theirs[name]) if isinstance(theirs[name], list) else theirs[name])
