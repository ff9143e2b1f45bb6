"""The study's records: what is proved, what is certified, and what is neither."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aptsched import BatchProblem, InfeasibleError, Multipliers
from aptsched.problem import instance
from aptsched.problem.certificate import certify
from aptsched.report.document import as_json
from brute_force import check_certificate, enumerate_all
from solvers.methods import Method, find_method
from solvers.solution import Solution, Status
from solvers.study import gap_files, method_runs
from solvers.study.method_runs import Instance, Record, contradiction, optimum, run
from solvers.study.summary import summaries_by_method
from strategies import sweep_problem

# By hand: hidden and KV for requests 0 and 1 are worth 8 with 7 of 8 blocks; request 0 with KV alone is worth 5.
PROBLEM = BatchProblem(values=[[5.0, 4.0], [4.0, 1.0], [3.0, 2.0]], weights=[[6, 3], [4, 2], [4, 2]], capacity=8)
BEST, GOOD, TOO_MUCH = [2, 1, 0], [1, 0, 0], [1, 1, 0]
CASE = Instance("case", 0.5, PROBLEM)


def method(name: str, form: list[int] | None, status: Status = Status.FEASIBLE, bound_s: float | None = None) -> Method:
    """A method that answers what it is told to."""

    def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
        if form is None:
            return Solution(Status.INFEASIBLE, None, -math.inf, -math.inf, 0.0, InfeasibleError(3, 0, 1))
        selection = certify(problem, np.array(form), Multipliers(per_block_s=1.0))
        return Solution(status, selection, selection.objective_s, bound_s or selection.bound_s, 0.0)

    return Method(name, "exact", solve)


def ticking() -> Callable[[], float]:
    """A clock that goes on by half a second at each look."""
    times = iter(np.arange(0, 100, 0.5))
    return lambda: float(next(times))


def only(methods: list[Method]) -> tuple[Record, ...]:
    (records,) = run([CASE], methods, clock=ticking())
    return records


def test_the_gap_to_the_optimum_is_not_the_certified_gap() -> None:
    """With multiplier 1 the bound is 8 + (4 - 3) + 0 + 0: the optimum 8 has a certified gap of 1/9 by hand."""
    good, proved = only([method("good", GOOD), method("proved", BEST, Status.OPTIMAL, 8.0)])
    assert enumerate_all(PROBLEM).optimum == 8
    assert (proved.optimum_gap, good.optimum_gap) == (0.0, 3 / 8)
    assert proved.certified_gap == pytest.approx(1 / 9) and good.certified_gap == pytest.approx(4 / 9)
    assert proved.bound_s == 8.0 and proved.certified_bound_s == pytest.approx(9)
    assert [record.seconds for record in (good, proved)] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("taken_s", "fastest_s", "median_s"),
    [([0.5, 0.25, 1.0], 0.25, 0.5), ([1.5], 1.5, None), ([0.5, 2.0], 0.5, 1.25), ([1.0, 0.5, 0.5], 0.5, 0.5)],
)
def test_a_method_is_called_three_times_unless_one_takes_long(
    taken_s: list[float], fastest_s: float, median_s: float | None
) -> None:
    """More than a second; the fastest call counts, the median of several is told."""
    looks = np.cumsum(np.concatenate([[0.0], np.repeat(taken_s, 2)[:-1] * np.resize([1, 0], 2 * len(taken_s) - 1)]))
    times = iter(looks.tolist())
    ((record,),) = run([CASE], [method("good", GOOD)], clock=lambda: next(times))
    assert (record.seconds, record.median_call_s, record.num_calls) == (fastest_s, median_s, len(taken_s))
    assert next(times, None) is None


def test_without_a_proof_there_is_no_gap_to_the_optimum() -> None:
    """Even if the answer is the optimum."""
    assert [record.optimum_gap for record in only([method("good", GOOD), method("best", BEST)])] == [None, None]


def test_an_infeasible_answer_has_its_overload_and_nothing_else() -> None:
    """No number stands where there is no selection."""
    (record,) = only([method("none", None)])
    assert (record.status, record.overload) == ("infeasible", (3, 0, 1))
    assert record.objective_s is None and record.bound_s is None and record.certified_gap is None
    assert record.form is None and record.multipliers is None


def test_an_answer_that_breaks_a_limit_counts_for_nothing() -> None:
    """It has no gaps, is no optimum, and contradicts nobody, whatever it claims."""
    bad, best = only([method("bad", TOO_MUCH, Status.OPTIMAL, 9.0), method("best", BEST, Status.OPTIMAL, 8.0)])
    assert (bad.status, bad.certified_gap, bad.optimum_gap) == ("exceeds", None, None)
    assert optimum([bad, best]) == 8.0
    assert contradiction([bad, best]) is None
    assert (bad.num_blocks, PROBLEM.capacity) == (10, 8)


def test_contradictions_are_found() -> None:
    """A bound below what another has, and infeasible to one of them; not what floats differ by."""
    assert contradiction(only([method("a", BEST), method("b", GOOD, Status.OPTIMAL, 5.0)])) == (
        "case: a has 8.0 s, but b says that 5.0 s cannot be exceeded"
    )
    found = contradiction(only([method("a", BEST), method("b", None)]))
    assert found is not None and "infeasible" in found
    assert contradiction(only([method("a", BEST), method("b", BEST, Status.OPTIMAL, 8.0 * (1 - 1e-10))])) is None


def test_the_study_ends_where_it_is_told_to_without_the_instance_begun() -> None:
    """Whole instances only."""
    asked = []

    def proceed(given: Instance, method: Method) -> bool:
        asked.append((given.id, method.name))
        return len(asked) < 4

    instances = [dataclasses.replace(CASE, id=str(i)) for i in range(3)]
    done = list(run(instances, [method("a", BEST), method("b", GOOD)], proceed=proceed))
    assert [[record.instance for record in records] for records in done] == [["0", "0"]]
    assert asked == [("0", "a"), ("0", "b"), ("1", "a"), ("1", "b")]


def test_each_certificate_can_be_checked_from_the_document_alone() -> None:
    """Problem, selection and multipliers from JSON, in rational arithmetic; objectives against brute force."""
    instances = [Instance(str(index), None, sweep_problem(index)) for index in range(40)]
    methods = [find_method(name) for name in ("greedy", "core", "lp", "milp")]
    results = list(run(instances, methods, 5.0))
    document = json.loads(as_json(gap_files.document(instances, results, {"seed": 0}, 40)))
    assert document["complete"] and document["contradictions"] == []
    problems = {}
    for given in document["instances"]:
        problems[given["id"]] = instance.from_dict(
            {"schema": instance.SCHEMA, "version": 1, "sha256": given["sha256"], "problem": given["problem"]}
        )
    for record in document["records"]:
        problem = problems[record["instance"]]
        best = enumerate_all(problem).optimum
        assert (record["status"] == "infeasible") == (best is None)
        if best is None:
            continue
        again = certify(problem, np.array(record["form"]), Multipliers(**record["multipliers"]))
        check_certificate(problem, again.multipliers, record["certified_bound_s"])
        assert record["objective_s"] == again.objective_s <= float(best) <= record["certified_bound_s"]
        assert record["certified_gap"] == again.gap
        assert record["status"] != "optimal" or record["objective_s"] == pytest.approx(float(best), rel=1e-9)
        assert (record["num_blocks"], record["num_seqs"]) == (again.num_blocks, again.num_seqs)


def test_summaries_by_hand() -> None:
    """Two sizes: a row for each and one for both; the p99 is a value observed."""
    record = Record("a", 10, 0.5, "greedy", "1/2", "", "feasible", 1.0, 9.0, 10.0, 12.0, 0.25, 0.1)
    records = [
        record,
        dataclasses.replace(record, seconds=3.0, optimum_gap=None, certified_gap=0.5),
        dataclasses.replace(record, num_requests=20, seconds=2.0, status="optimal", optimum_gap=0.0),
        dataclasses.replace(
            record, num_requests=20, seconds=8.0, status="exceeds", optimum_gap=None, certified_gap=None
        ),
    ]
    small, large, both = summaries_by_method(records)
    assert [(s.num_requests, s.load) for s in (small, large, both)] == [(10, 0.5), (20, 0.5), (None, 0.5)]
    assert (small.num_instances, small.num_with_optimum, small.proved) == (2, 1, 0.0)
    assert (small.optimum_gap_mean, small.certified_gap_mean, small.certified_gap_worst) == (0.1, 0.375, 0.5)
    assert (small.seconds_median, small.seconds_p99) == (2.0, 3.0)
    assert (large.proved, large.num_exceeding) == (0.5, 1)
    assert (both.optimum_gap_mean, both.optimum_gap_p99, both.optimum_gap_worst) == (0.05, 0.1, 0.1)
    assert [len(section.rows) for section in gap_files.sections([small, large, both])] == [1, 1, 1]
    assert any("greedy: 1 of 4 answers break a limit" in note for note in gap_files.notes([small, large, both]))


def test_how_many_instances_have_no_optimum_is_said() -> None:
    """None at all, some, or nothing where all have one."""
    proved = Record("a", 10, 0.5, "core", "exact", "", "optimal", 1.0, 9.0, 9.0, 12.0, 0.25, 0.0)
    open_end = dataclasses.replace(proved, status="feasible", optimum_gap=None)
    for records, said in (
        ([open_end], "No gap to the optimum is known, for no method proved an optimum."),
        ([open_end, proved], "The gap to the optimum is over 1 of 2 instances: of the others no method proved it."),
        ([proved], None),
    ):
        found = [line for line in gap_files.notes(summaries_by_method(records)) if "gap to the optimum" in line]
        assert found == ([said] if said else [])


def test_files_have_a_row_for_each_record_and_pictures(tmp_path: Path) -> None:
    """CSV with one line a record, JSON, two PNG files, and nothing else."""
    results = list(run([CASE], [method("best", BEST, Status.OPTIMAL, 8.0), method("none", None)]))
    records = list(results[0])
    gap_files.write(tmp_path, gap_files.document([CASE], results, {}, 1), records)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gap.png", "results.csv", "results.json", "time.png"]
    header, *rows = (tmp_path / "results.csv").read_text().splitlines()
    assert header.startswith("instance,num_requests,load,method,") and header.endswith(
        "per_block_s,per_token_s,per_seq_s"
    )
    assert [row.count(",") for row in rows] == [header.count(",")] * 2
    for name in ("gap.png", "time.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_warming_up_calls_each_method_with_the_limits_of_the_problem() -> None:
    """On a tiny problem."""
    seen: list[BatchProblem] = []

    def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
        seen.append(problem)
        return find_method("greedy").solve(problem)

    limited = BatchProblem([[1.0]], [[1]], 1, num_tokens=[1], max_tokens=3)
    method_runs.warm_up([Method("a", "", solve)], limited)
    assert seen[0].num_requests < 10 and seen[0].max_tokens is not None and seen[0].max_seqs is None
