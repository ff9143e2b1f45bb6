"""The worst instances known of the online methods are kept, with their ratios, and the search for worse ones works."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aptsched import BatchProblem
from aptsched.problem import instance
from brute_force import enumerate_all, exact_objective, num_constraints
from proofs import worst_case
from proofs.online import ONLINE, Online, fcfs, skip_filling, without_fallback

INDEX: list[dict[str, Any]] = json.loads((worst_case.KEPT / "index.json").read_text())
BY_NAME = {method.name: method for method in ONLINE}


@pytest.mark.parametrize("entry", INDEX, ids=lambda entry: entry["method"])
def test_a_kept_instance_has_the_ratio_claimed(
    entry: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """By enumeration; small, within the factor that is proved, and of no more limits."""
    method, problem = BY_NAME[entry["method"]], instance.load(worst_case.KEPT / entry["file"])
    form = method.answer(problem)
    best, answer = enumerate_all(problem).optimum, exact_objective(problem, form)
    assert (best, answer) == (entry["optimum_s"], entry["answer_s"]) and answer > 0
    assert best is not None and entry["ratio"] == float(best / answer)
    assert entry["factor"] == method.factor and (method.factor is None or best / answer <= method.factor)
    assert problem.num_requests <= worst_case.MAX_REQUESTS and num_constraints(problem) <= 1 + method.side_limits
    assert problem.fits_alone().all()
    proved = "no factor" if method.factor is None else f"factor {method.factor}"
    record_property("ratio", f"{method.name}, kept: {entry['ratio']:.4f}, {proved}")


def test_every_method_has_one() -> None:
    """And each file stands in the index."""
    assert [entry["method"] for entry in INDEX] == [method.name for method in ONLINE]
    files = {path.name for path in worst_case.KEPT.glob("*.json")} - {"index.json"}
    assert files == {entry["file"] for entry in INDEX}


@pytest.mark.parametrize("method", ONLINE, ids=lambda method: method.name)
def test_a_state_is_that_of_its_instance(method: Online) -> None:
    """So that the search goes on from what is kept."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        problem = worst_case.start(method, rng).problem(method)
        again = worst_case.state_of(problem, method).problem(method)
        assert instance.digest(again) == instance.digest(problem)


@pytest.mark.parametrize("name", ["greedy-nofallback", "skip-filling", "greedy-2-limits"])
def test_the_search_finds_worse_ones(name: str) -> None:
    """In 400 changes of a random instance; what it says of them is so, and the same seed finds the same."""
    found = []
    for _ in range(2):
        rng, steps, method = np.random.default_rng(2), iter([True] * 400), BY_NAME[name]
        given = worst_case.start(method, rng)
        ratio, state = worst_case.search(method, given, partial(next, steps, False), rng)
        assert ratio == worst_case.shortfall(state, method) > worst_case.shortfall(given, method)
        best = enumerate_all(state.problem(method)).optimum
        answer = exact_objective(state.problem(method), method.answer(state.problem(method)))
        assert best is not None and best / answer == ratio
        found.append(ratio)
    assert found[0] == found[1]


def test_the_command_writes_instances_index_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without time to search, what is kept; a line each on stdout."""
    assert worst_case.main(["--seconds", "0", "--out", str(tmp_path)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(BY_NAME)
    assert json.loads((tmp_path / "index.json").read_text()) == INDEX
    assert (tmp_path / "worst_case.png").read_bytes().startswith(b"\x89PNG")
    for entry in INDEX:
        assert (tmp_path / entry["file"]).read_text() == (worst_case.KEPT / entry["file"]).read_text()


def test_first_come_first_served_stops_at_the_first_misfit() -> None:
    """9 s and 8 s in 4 and 3 blocks of 8; 7 s in 2 do not fit, and 6 s in 1 come after them."""
    problem = BatchProblem.hybrid([6.0, 9.0, 7.0, 8.0], [1, 4, 2, 3], 8, 0.0)
    assert fcfs(problem).tolist() == [0, 1, 0, 1]


def test_skip_filling_takes_what_fits_by_falling_value() -> None:
    """9 s in 4 blocks of 7, 8 s hidden in 2 of the 3 left, and 6 s in 1; 7 s fit in no form."""
    problem = BatchProblem([[6.0, 5.0], [9.0, 8.0], [7.0, 6.5], [8.5, 8.0]], [[1, 1], [4, 2], [4, 2], [4, 2]], 7)
    assert skip_filling(problem).tolist() == [1, 1, 0, 2]


def test_without_fallback_there_is_no_factor() -> None:
    """A tiny request keeps out one that is worth all."""
    problem = BatchProblem([[2.0], [1000.0]], [[1], [1000]], 1000)
    assert without_fallback(problem).tolist() == [1, 0]
    assert enumerate_all(problem).optimum == 1000
