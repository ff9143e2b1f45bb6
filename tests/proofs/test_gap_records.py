"""Results of the gap study: no change of one field makes a false claim pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aptsched import BatchProblem
from aptsched.report.document import as_json
from brute_force import enumerate_all, exact_objective
from mutations import of_fields
from proofs import gap_study
from proofs.gap_record import ANSWER, RECORD
from proofs.records import Verdict
from solvers.methods import find_method
from solvers.study import gap_files, method_runs

PROBLEMS = {
    "giants": BatchProblem([[11.5], [11.25], [10.0], [10.0]], [[11], [11], [10], [10]], 20),
    "limits": BatchProblem.hybrid([9.0, 7.3, 4.0], [6, 5, 3], 9, 0.25, "3/4", [5, 4, 3], 9, 2, [False, True, False]),
    "printed": BatchProblem.hybrid([9.0, 9.5], [5, 5], 5, 0.125),
    "infeasible": BatchProblem([[2.0, 1.0], [3.0, 2.0]], [[4, 3], [4, 2]], 3, max_seqs=1, required=[True, True]),
    "all-fit": BatchProblem([[2.0, 1.0], [3.0, -2.0]], [[4, 3], [4, 2]], 8),
}
UNCHECKED = {"method", "guarantee", "seconds", "num_calls", "median_call_s"}  # measured, or of the method alone
WEAKER = {"bound_s", "certified_bound_s", "multipliers", "overload", "status"}  # may claim less and hold


@cache
def results(name: str) -> str:
    """The file of a study of one instance."""
    methods = [find_method(method) for method in ("greedy", "core", "lp")]
    if name == "printed":
        methods.append(find_method("algorithm1"))
    instance = method_runs.Instance(name, None, PROBLEMS[name])
    found = list(method_runs.run([instance], methods))
    return as_json(gap_files.document([instance], found, {}, 1))


def document(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(results(name))
    return parsed


def verdicts(of: dict[str, Any]) -> list[Verdict]:
    return list(gap_study.verdicts(of, Path()))  # it names no files


def assert_true(problem: BatchProblem, record: dict[str, Any], said: tuple[str, ...]) -> None:
    """All that a record claims, but for what is said of it to be unproved, by enumeration."""
    best = enumerate_all(problem)
    assert record["num_requests"] == problem.num_requests
    if record["status"] == "infeasible":
        assert best.optimum is None and record["overload"] in (None, list(best.overload))
        assert all(record[name] is None for name in ANSWER)
        return
    assert best.optimum is not None and record["overload"] is None
    form = np.array(record["form"], np.int64)
    assert record["num_seqs"] == np.count_nonzero(form)
    objective = exact_objective(problem, form)
    assert record["objective_s"] == float(objective)
    served = np.flatnonzero(form)
    assert record["num_blocks"] == problem.weights[served, form[served] - 1].sum()
    assert record["num_tokens"] == (0 if problem.num_tokens is None else problem.num_tokens[served].sum())
    assert (record["num_blocks"] > problem.capacity) == (record["status"] == "exceeds")
    assert best.optimum <= Fraction(record["certified_bound_s"])
    assert "bound_s" in said or best.optimum <= Fraction(record["bound_s"])
    if record["status"] == "exceeds":
        assert record["certified_gap"] is record["optimum_gap"] is None
        return
    assert objective <= best.optimum
    assert "status" in said or record["status"] != "optimal" or objective == best.optimum
    bound_s = record["certified_bound_s"]
    assert record["certified_gap"] == (bound_s - record["objective_s"]) / max(bound_s, record["objective_s"])
    if record["optimum_gap"] is not None and "optimum_gap" not in said:
        expected = float((best.optimum - objective) / max(best.optimum, objective))
        assert record["optimum_gap"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", PROBLEMS)
def test_results_hold(name: str) -> None:
    """As the study writes them; all of the instance, three or four records, and the whole."""
    found = verdicts(document(name))
    assert [verdict.reasons for verdict in found] == [()] * (2 + len(document(name)["records"]))


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_mutation_is_refused_or_leaves_every_claim_true(name: str) -> None:
    """Each field of each record, every small change, a field left out and one more.

    A change that passes is to a weaker claim, or in a field that no certificate is about.
    """
    given = document(name)
    refused: set[str] = set()
    for i, record in enumerate(given["records"]):
        for changed, field, other in of_fields(record):
            found = verdicts(given | {"records": [*given["records"][:i], changed, *given["records"][i + 1 :]]})
            if all(verdict.holds for verdict in found):
                said = found[1 + i].said
                assert_true(PROBLEMS[name], changed, said)
                same = other is not True and other is not False and json.dumps(other) == json.dumps(record[field])
                assert same or other == record[field] or field in (*UNCHECKED, *WEAKER, *said), (field, other)
            else:
                refused.add(field)
        found = verdicts(given | {"records": [*given["records"][:i], record | {"x": 1}, *given["records"][i + 1 :]]})
        assert not all(verdict.holds for verdict in found)
    assert refused == set(RECORD)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "record twice": lambda d: d["records"].append(d["records"][0]),
    "record gone": lambda d: d["records"].pop(),
    "no records": lambda d: d["records"].clear(),
    "no object": lambda d: d["records"].append(3),
    "of no instance": lambda d: d["records"][0].update(instance="other"),
    "instance twice": lambda d: d["instances"].append(d["instances"][0]),
    "instance gone": lambda d: d["instances"].clear(),
    "id": lambda d: d["instances"][0].update(id="other"),
    "load": lambda d: d["instances"][0].update(load=0.5),
    "optimum_s": lambda d: d["instances"][0].update(optimum_s=None),
    "sha256": lambda d: d["instances"][0].update(sha256="0"),
    "value": lambda d: d["instances"][0]["problem"]["values"][0].__setitem__(0, 11.25),
    "weight": lambda d: d["instances"][0]["problem"]["weights"][0].__setitem__(0, 10),
    "capacity": lambda d: d["instances"][0]["problem"].update(capacity=21),
    "max_seqs": lambda d: d["instances"][0]["problem"].update(max_seqs=4),
    "no problem": lambda d: d["instances"][0].update(problem=None),
    "num_planned": lambda d: d.update(num_planned=0),
    "not complete": lambda d: d.update(complete=False),
    "complete": lambda d: d.update(num_planned=2),
    "contradictions": lambda d: d.update(contradictions=["one"]),
    "summary": lambda d: d["summary"][0].update(certified_gap_mean=0.0),
    "summary gone": lambda d: d["summary"].pop(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_file_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    """Instances, problems, and what is said of all records."""
    given = document("giants")
    change(given)
    assert not all(verdict.holds for verdict in verdicts(given))


def test_what_is_proved_and_what_is_said() -> None:
    """All requests fit: the certificate itself proves the optimum. Else a search does, and the certificate a gap."""
    proved = verdicts(document("all-fit"))[1:4]
    assert all(verdict.optimal and verdict.gap == 0.0 and verdict.said == () for verdict in proved)
    greedy, core, lp = verdicts(document("giants"))[1:4]
    assert not greedy.optimal and not core.optimal and core.gap is not None and core.gap > 0
    assert core.said == ("bound_s", "status", "optimum_gap") and greedy.said == lp.said == ("optimum_gap",)


def test_a_claim_that_another_record_refutes_is_refused() -> None:
    """The greedy's 11.5 s cannot be optimal, nor a bound, beside a selection that is worth 20 s."""
    given = document("giants")
    greedy, core = given["records"][:2]
    assert greedy["objective_s"] < core["objective_s"]
    for fields in ({"status": "optimal"}, {"bound_s": greedy["objective_s"]}):
        found = verdicts(given | {"records": [greedy | fields, *given["records"][1:]]})
        assert not found[1].holds


def test_one_bad_record_leaves_the_others_be() -> None:
    """Reasons are against the record alone."""
    given = document("limits")
    given["records"][0]["objective_s"] += 1.0
    found = verdicts(given)
    assert [verdict.holds for verdict in found[1:4]] == [False, True, True]
    assert found[1].name == "greedy on limits" and found[1].reasons[0].startswith("objective_s: ")
