"""The log of a run's decisions: no change of one field makes a false claim pass."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aptsched import BatchProblem, InfeasibleError, greedy
from aptsched.problem import instance
from aptsched.problem.certificate_log import HEADER, as_line, record_line
from brute_force import enumerate_all, exact_objective
from mutations import of_fields
from proofs import search, verification
from proofs.iterations import FIELDS, Log, figures, verdict, verdicts
from strategies import sweep_problem

PROBLEM = BatchProblem.hybrid([9.0, 7.3, 4.0], [6, 5, 3], 9, 0.25, "3/4", [5, 4, 3], 9, 2, [False, True, False])


def record(iteration: int = 3, problem: BatchProblem = PROBLEM) -> dict[str, Any]:
    """As read from a line of the file."""
    selection = greedy(problem)
    entries = [[i, form] for i, form in enumerate(selection.form.tolist()) if form]
    parsed: dict[str, Any] = json.loads(record_line(iteration, problem, selection))
    return {**parsed, "entries": entries}


def write(path: Path, *lines: str) -> Path:
    path.write_text(as_line(HEADER) + "".join(lines))
    return path


def test_what_is_written_holds() -> None:
    """On the fixed sweep, with and without entries."""
    num_checked = 0
    for index in range(200):
        problem = sweep_problem(index)
        try:
            selection = greedy(problem)
        except InfeasibleError:
            continue
        found = verdict(json.loads(record_line(index, problem, selection)), index - 1)
        assert found.holds and found.gap == selection.gap, found.reasons
        assert verdict(record(index, problem), index - 1).holds
        num_checked += 1
    assert num_checked > 150


def test_a_mutation_is_refused_or_leaves_every_claim_true() -> None:
    """Each field, every small change, a field left out and one more."""
    given, refused = record(), set()
    for changed, field, other in of_fields(given):
        if not verdict(changed, 2).holds:
            refused.add(field)
            continue
        problem = instance.from_dict({"schema": "aptsched.instance", "version": 1, "problem": changed["problem"]})
        assert instance.digest(problem) == changed["sha256"]
        best = enumerate_all(problem)
        objective = exact_objective(problem, np.array(changed["form"]))
        assert best.optimum is not None and changed["objective_s"] == float(objective)
        assert objective <= best.optimum <= Fraction(changed["bound_s"])
        weaker = field in ("bound_s", "multipliers", "iteration", "entries")
        assert weaker or other == given[field] or problem.values.tolist() == PROBLEM.values.tolist()
        assert changed["gap"] == max(0.0, changed["bound_s"] - changed["objective_s"]) / changed["bound_s"]
    assert refused == {*FIELDS, "entries"}
    assert not verdict(given | {"x": 1}, 2).holds


@pytest.mark.parametrize("entries", [[[1, 1], [1, 1]], [[0, 1]], [], [[1, 2]], [[1, 1, 1]], "11", None, [[True, 1]]])
def test_entries_are_the_requests_served_each_once(entries: Any) -> None:
    """Duplicates, others, none, in another form, and what is no list of pairs."""
    given = record()
    assert given["entries"] != entries
    (reason,) = verdict(given | {"entries": entries}, 2).reasons
    assert reason.startswith("entries: ")


@pytest.mark.parametrize("entries", [[[2, 2], [1, 1]], [[1, 1], [2, 2]]])
def test_entries_may_stand_in_any_order(entries: list[list[int]]) -> None:
    """The order of a batch is its policy's."""
    problem = BatchProblem([[2.0, 1.0], [4.0, 3.0], [1.0, 1.5]], [[4, 3], [2, 2], [4, 1]], 3)
    assert verdict(record(0, problem) | {"entries": entries}, -1).holds


def test_iterations_rise() -> None:
    """None twice, and none before the last."""
    assert verdict(record(3), 2).holds
    for iteration in (2, 1, -1):
        assert verdict(record(iteration), 2).reasons == (
            f"iteration: {iteration} is not accepted; a whole number above 2 is",
        )


def test_a_log_is_read_line_by_line(tmp_path: Path) -> None:
    """A run that was cut off in the middle of a line leaves the others as they are."""
    lines = [as_line(record(i)) for i in range(3)]
    path = write(tmp_path / "run.jsonl", *lines, lines[0][:40])
    (source,), skipped = search.find_results(path)
    found = verification.report(source, lambda name: None)
    assert (source.num_verdicts, found.num_entries, found.num_holding, skipped) == (4, 4, 3, [])
    assert found.failures[0].name == "line 5" and "not JSON" in found.failures[0].reasons[0]


def test_an_iteration_given_twice_is_found(tmp_path: Path) -> None:
    """The second one is refused, the next one is not."""
    path = write(tmp_path / "run.jsonl", *(as_line(record(i)) for i in (0, 1, 1, 2)))
    (source,), _ = search.find_results(path)
    assert [found.holds for found in source.verdicts] == [True, True, False, True]


ALL_SERVED = BatchProblem.hybrid([9.0, 7.5, 4.0], [6, 5, 3], 14, 0.25)  # in KV form: the gap is 0


def test_a_decision_of_several_iterations_has_no_gap() -> None:
    """Of none, or of several with a gap that would not be the same in each, it is refused."""
    several = {**record(3, ALL_SERVED), "num_iterations": 4}
    assert several["gap"] == 0 and verdict(several, 2).holds
    assert record(3)["gap"] > 0 and not verdict({**record(3), "num_iterations": 4}, 2).holds
    for count in (0, -1, 1.0, True, None, "2"):
        (reason,) = verdict({**several, "num_iterations": count}, 2).reasons
        assert reason.startswith("num_iterations: ")


def test_iterations_rise_above_all_those_of_the_decision_before(tmp_path: Path) -> None:
    """After 3 to 6 comes 7; and the figures of the log have the number."""
    several = {**record(3, ALL_SERVED), "num_iterations": 4}
    for following, holds in ((6, False), (7, True)):
        path = write(tmp_path / "run.jsonl", as_line(several), as_line(record(following)))
        assert [each.holds for each in verdicts(path)] == [True, holds]
    assert figures(path) == Log(((3, 4, 0.0), (7, 1, record(7)["gap"])))
