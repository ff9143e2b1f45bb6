"""The exact online method: equal to enumeration wherever it says OPTIMAL, and honest at its limits."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.support.errors import InputError
from brute_force import check_selection, enumerate_all
from references import serving_like, with_side_constraints
from solvers import core
from solvers.core import exact
from solvers.solution import Solution, Status
from strategies import hybrid_problems, problems, singular_problems, sweep_chunks, sweep_problem
from variants import permuted


def check_core(
    problem: BatchProblem, must_prove: bool = True, time_limit_s: float | None = None, max_work: int | None = None
) -> Solution:
    """Everything that core promises on one instance, against enumeration."""
    best = enumerate_all(problem)
    solution = core.solve(problem, time_limit_s=time_limit_s, max_work=max_work)
    assert solution.seconds >= 0
    if best.optimum is None:
        assert (solution.status, solution.selection) == (Status.INFEASIBLE, None)
        assert solution.objective_s == solution.bound_s == -math.inf
        assert solution.overload is not None
        overload = solution.overload
        assert (overload.num_blocks, overload.num_tokens, overload.num_seqs) == best.overload
        return solution
    assert solution.selection is not None and solution.overload is None
    objective = check_selection(problem, solution.selection)
    assert solution.objective_s == solution.selection.objective_s
    assert objective <= best.optimum <= Fraction(solution.selection.bound_s)
    if solution.status is Status.OPTIMAL:
        assert best.optimum - objective <= _tolerance(problem), f"{problem}: {solution}, optimum {best.optimum}"
    else:
        assert solution.status is Status.FEASIBLE and not must_prove
    assert best.optimum <= Fraction(solution.bound_s) <= max(Fraction(solution.selection.bound_s), objective)
    return solution


def _tolerance(problem: BatchProblem) -> Fraction:
    return Fraction(float(np.abs(problem.values).sum())) / 10**12


@pytest.mark.parametrize("chunk", sweep_chunks(), ids=lambda chunk: f"from-{chunk.start}")
def test_equals_enumeration_on_the_sweep(chunk: range) -> None:
    """On every instance of the fixed sweep, with a proof."""
    for index in chunk:
        check_core(sweep_problem(index))


@settings(max_examples=500)
@given(problem=problems())
def test_equals_enumeration(problem: BatchProblem) -> None:
    """On whatever Hypothesis comes up with."""
    check_core(problem)


@settings(max_examples=200)
@given(problem=hybrid_problems())
def test_equals_enumeration_on_definition_1(problem: BatchProblem) -> None:
    """On two forms of one request, at hidden ratios from 1/3 to 2."""
    check_core(problem)


@pytest.mark.parametrize("problem", singular_problems(), ids=lambda problem: f"{problem.num_requests}-requests")
def test_equals_enumeration_where_bases_are_singular(problem: BatchProblem) -> None:
    """On vertices of the relaxation where constraints depend on each other."""
    check_core(problem)


def test_four_requests_by_hand() -> None:
    """10 blocks: request 0 in KV (6 s), 1 and 2 hidden (3 and 3.5 s)."""
    problem = BatchProblem(
        values=[[6.0, 2.0], [5.0, 3.0], [4.0, 3.5], [1.0, 0.5]],
        weights=[[6, 3], [4, 2], [4, 2], [2, 1]],
        capacity=10,
    )
    solution = check_core(problem)
    assert solution.selection is not None
    assert solution.selection.form.tolist() == [1, 2, 2, 0]
    assert (solution.status, solution.objective_s, solution.bound_s) == (Status.OPTIMAL, 12.5, 12.5)


@pytest.mark.parametrize("max_work", [1, 10, 100, 10_000])
def test_limit_of_work_keeps_the_incumbent(max_work: int) -> None:
    """At its limit core returns a feasible selection with a valid bound, and the same one every time."""
    for index in range(300):
        problem = sweep_problem(index)
        first = check_core(problem, must_prove=False, max_work=max_work)
        second = core.solve(problem, max_work=max_work)
        assert (first.status, first.objective_s, first.bound_s) == (second.status, second.objective_s, second.bound_s)
        if first.selection is not None and second.selection is not None:
            assert np.array_equal(first.selection.form, second.selection.form)
            assert first.selection.multipliers == second.selection.multipliers


@pytest.mark.parametrize("time_limit_s", [1e-9, 1e-4])
def test_limit_of_time_keeps_the_incumbent(time_limit_s: float) -> None:
    """Also after next to no time there is a feasible selection with a valid bound."""
    for index in range(200):
        check_core(sweep_problem(index), must_prove=False, time_limit_s=time_limit_s)


@pytest.mark.parametrize("limit", [2, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_the_clock_is_looked_at_until_the_limit(monkeypatch: pytest.MonkeyPatch, seed: int, limit: int) -> None:
    """Of a clock that goes on by a second with each look, hardly more is seen than the limit: all phases end there."""
    clock = count()
    monkeypatch.setattr(exact, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    problem = with_side_constraints(serving_like(300, seed), seed)
    problem = replace(problem, values=problem.weights + 0.1 * problem.weights.max(), capacity=problem.capacity // 4)
    assert core.solve(problem, time_limit_s=limit).status is Status.FEASIBLE
    assert limit <= next(clock) <= limit + 6


@pytest.mark.parametrize(
    "limits",
    [{"time_limit_s": limit} for limit in (0.0, -1.0, math.nan, "x", True)] + [{"max_work": -1}, {"max_work": 0.5}],
)
def test_limits_must_make_sense(limits: dict[str, Any]) -> None:
    """No time at all, less than none, or less than no work, are bad input; the message names the field."""
    with pytest.raises(InputError, match=next(iter(limits))):
        core.solve(BatchProblem(values=[[1.0]], weights=[[1]], capacity=1), **limits)


def test_more_capacity_is_never_worse() -> None:
    """The optimum is monotone in every limit."""
    for index in range(300):
        problem = sweep_problem(index)
        before = core.solve(problem).objective_s
        larger = [replace(problem, capacity=problem.capacity + more) for more in (1, 7)]
        if problem.max_tokens is not None:
            larger.append(replace(problem, max_tokens=problem.max_tokens + 1))
        if problem.max_seqs is not None:
            larger.append(replace(problem, max_seqs=problem.max_seqs + 1))
        slack = float(_tolerance(problem))
        assert all(core.solve(relaxed).objective_s >= before - slack for relaxed in larger)


@settings(max_examples=50)
@given(problem=problems(), data=st.data())
def test_order_does_not_matter(problem: BatchProblem, data: st.DataObject) -> None:
    """The optimum is the same in any order of the requests."""
    assume(enumerate_all(problem).optimum is not None)
    order = np.array(data.draw(st.permutations(range(problem.num_requests))))
    shuffled = permuted(problem, order)
    assert abs(core.solve(problem).objective_s - core.solve(shuffled).objective_s) <= _tolerance(problem)


@pytest.mark.parametrize("limit", [2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400], ids=int.bit_length)
def test_limits_of_any_size(limit: int) -> None:
    """A limit beyond every need is as good as none, however large."""
    problem = BatchProblem(
        values=[[2.0], [1.0]], weights=[[2], [1]], capacity=limit, num_tokens=[3, 4], max_tokens=limit, max_seqs=limit
    )
    assert core.solve(problem).objective_s == 3.0


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_hidden_form_of_no_use_is_never_chosen(ratio: float) -> None:
    """At a ratio of 1 or more the KV form is worth as much and no heavier."""
    for penalty in (0.0, 0.25):
        for capacity in range(12):
            problem = BatchProblem.hybrid([3.0, 2.0, 2.0], [4, 3, 4], capacity, penalty, hidden_ratio=ratio)
            selection = core.solve(problem).selection
            assert selection is not None and 2 not in selection.form
