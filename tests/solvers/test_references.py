"""The general solvers against arithmetic by hand and enumeration."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from aptsched import BatchProblem, InputError, greedy
from brute_force import check_selection, enumerate_all
from references import (
    BY_HAND,
    Solve,
    each,
    each_exact,
    serving_like,
    strongly_correlated,
)
from solvers import cpsat, lp, mathopt, milp, pulp
from solvers.program import answer, duals, formulation, reduction
from solvers.program.packages import package
from solvers.solution import Solution, Status
from strategies import singular_problems, sweep_problem


@each_exact
def test_by_hand(solve: Solve) -> None:
    """Four hidden requests fill 7 blocks: 7 + 5.25 + 4 + 2.5 = 18.75 s."""
    solution = solve(BY_HAND, None)
    assert solution.status is Status.OPTIMAL
    assert solution.selection is not None and solution.selection.form.tolist() == [2, 2, 2, 2]
    assert solution.objective_s == solution.bound_s == solution.selection.objective_s == 18.75


def test_relaxation_by_hand() -> None:
    """In 6 blocks the relaxation splits the third request at 2 s a block; rounded down, it is left out."""
    solution = lp.solve(dataclasses.replace(BY_HAND, capacity=6))
    # Hidden: 3.5, 2.625, 2, 2.5 s a block; in 6 blocks requests 1, 2, 4 and half of 3: 7 + 5.25 + 2.5 + 2 s.
    assert solution.status is Status.FEASIBLE
    assert solution.selection is not None and solution.selection.form.tolist() == [2, 2, 0, 2]
    assert solution.objective_s == 14.75
    assert solution.bound_s == pytest.approx(16.75, rel=1e-12) and solution.bound_s >= 16.75
    assert lp.multipliers(dataclasses.replace(BY_HAND, capacity=6)).per_block_s == pytest.approx(2.0)


@each
@pytest.mark.parametrize("start", range(0, 1_000, 100))
def test_enumeration(solve: Solve, start: int) -> None:
    """On 1,000 small instances of every kind an answer is feasible, its bound holds, and OPTIMAL is the optimum."""
    problems = [sweep_problem(index) for index in range(start, start + 100)]
    for problem in problems + (singular_problems() if start == 0 else []):
        check_against_enumeration(problem, solve(problem, None), exact=solve is not lp.solve)


@pytest.mark.slow
@each
@pytest.mark.parametrize("start", range(1_000, 10_000, 250))
def test_enumeration_of_many(solve: Solve, start: int) -> None:
    """The same on 9,000 more."""
    for problem in (sweep_problem(index) for index in range(start, start + 250)):
        check_against_enumeration(problem, solve(problem, None), exact=solve is not lp.solve)


def check_against_enumeration(problem: BatchProblem, solution: Solution, exact: bool) -> None:
    """Feasible, certified, and within 1e-9 of the optimum where it says OPTIMAL."""
    best = enumerate_all(problem)
    if best.optimum is None:
        assert solution.status is Status.INFEASIBLE and solution.overload is not None
        overload = solution.overload
        assert (overload.num_blocks, overload.num_tokens, overload.num_seqs) == best.overload
        return
    assert solution.selection is not None and solution.objective_s == solution.selection.objective_s
    objective = check_selection(problem, solution.selection)
    if exact or solution.status is Status.OPTIMAL:
        assert solution.status is Status.OPTIMAL and best.optimum <= Fraction(solution.bound_s)
        assert best.optimum - objective <= abs(best.optimum) / 10**9
    else:
        assert Fraction(solution.bound_s) >= best.optimum


@each
def test_overload(solve: Solve) -> None:
    """Required requests that need 6 blocks of 5, 5 tokens of 3 and 2 sequences of 1 are infeasible by 1, 2 and 1."""
    problem = BatchProblem([[1.0], [1.0], [9.0]], [[3], [3], [1]], 5, [2, 3, 1], 3, 1, [True, True, False])
    solution = solve(problem, None)
    assert solution.status is Status.INFEASIBLE and solution.selection is None
    assert solution.objective_s == solution.bound_s == -math.inf
    assert solution.overload is not None
    assert (solution.overload.num_blocks, solution.overload.num_tokens, solution.overload.num_seqs) == (1, 2, 1)


@each
@pytest.mark.parametrize("ratio", ["1", "2"])
@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_hidden_at_no_less_memory_is_never_chosen(solve: Solve, ratio: str, penalty: float) -> None:
    """A hidden form as heavy as the KV form is not chosen, not even at the same value."""
    problem = BatchProblem.hybrid([3.0, 2.0, 2.0, 1.0], [3, 2, 2, 2], 6, penalty, ratio)
    solution = solve(problem, None)
    assert solution.selection is not None and set(solution.selection.form.tolist()) <= {0, 1}


@each_exact
def test_hidden_that_saves_memory_is_chosen(solve: Solve) -> None:
    """At a ratio of 3/4 two requests of 4 blocks fit in 6 as hidden ones."""
    solution = solve(BatchProblem.hybrid([3.0, 2.0], [4, 4], 6, 0.01, "3/4"), None)
    assert solution.selection is not None and solution.selection.form.tolist() == [2, 2]


@each_exact
def test_required_at_a_loss(solve: Solve) -> None:
    """A required request is served in its least bad form that leaves room, though its values are negative."""
    problem = BatchProblem(
        [[-1.0, -4.0, -5.0], [6.0, 0.0, 0.0]], [[5, 2, 3], [4, 9, 9]], 6, required=np.array([True, False])
    )
    solution = solve(problem, None)
    assert solution.selection is not None and solution.selection.form.tolist() == [2, 1]
    assert solution.objective_s == 2.0


@each_exact
def test_third_form(solve: Solve) -> None:
    """Forms of 6, 3 and 2 blocks: in 8 blocks the first is best as KV and the second quantised, 10 + 5 s."""
    problem = BatchProblem([[10.0, 6.0, 5.0], [9.0, 6.0, 5.0]], [[6, 3, 2], [6, 3, 2]], 8)
    solution = solve(problem, None)
    assert solution.selection is not None and solution.selection.form.tolist() == [1, 3]
    assert solution.objective_s == 15.0


@each
def test_nothing_worth_serving(solve: Solve) -> None:
    """Without a form of positive value that fits, the empty selection is optimal."""
    solution = solve(BatchProblem([[5.0, -1.0], [0.0, -2.0]], [[9, 1], [1, 1]], 4), None)
    assert solution.status is Status.OPTIMAL and solution.objective_s == solution.bound_s == 0.0
    assert solution.selection is not None and not solution.selection.form.any()


@each
def test_no_limit_binds(solve: Solve) -> None:
    """Where everything fits, every method proves that each request has its best form, with a certificate as good."""
    solution = solve(dataclasses.replace(BY_HAND, capacity=13), None)
    assert solution.status is Status.OPTIMAL and solution.objective_s == 22.0
    assert solution.selection is not None and solution.selection.bound_s == 22.0


@each
@pytest.mark.parametrize("limit", [0, -1.0, math.nan, "x", True, [1]])
def test_time_limit_is_checked(solve: Solve, limit: Any) -> None:
    """A time limit that is no number above 0 is bad input, named."""
    with pytest.raises(InputError, match=r"time_limit_s: .* is not accepted"):
        solve(BY_HAND, limit)


@pytest.mark.parametrize("solver", [mathopt, pulp], ids=["mathopt", "pulp"])
def test_backend_is_checked(solver: object) -> None:
    """An unknown backend is bad input; the message lists those there are."""
    with pytest.raises(InputError, match=r"backend: 'gurobi' is not accepted; one of .*highs"):
        solver.solve(BY_HAND, backend="gurobi")  # type: ignore[attr-defined]


@each
@pytest.mark.parametrize("limit", [1e-9, 0.6])
def test_timeout_keeps_the_incumbent(solve: Solve, limit: float) -> None:
    """At a time-out the answer is feasible and certified, and its bound is no worse than the certificate's."""
    problem = strongly_correlated(300, seed=0)
    solution = solve(problem, limit)
    assert solution.status is Status.FEASIBLE and solution.selection is not None
    check_selection(problem, solution.selection)
    assert 0 < solution.objective_s <= solution.bound_s <= solution.selection.bound_s
    assert solution.objective_s >= 0.9 * solution.bound_s


@pytest.mark.parametrize("index", range(0, 200, 4))
def test_reduction_keeps_the_optimum(index: int) -> None:
    """What an incumbent and the relaxation rule out is part of no selection that is as good as the incumbent."""
    problem = sweep_problem(index)
    best = enumerate_all(problem)
    if best.optimum is None or best.form is None:
        return
    whole = formulation.formulate(problem)
    relaxed = duals.solve_linear(whole)
    incumbent_s = math.fsum(whole.value[relaxed.chosen].tolist())
    for objective_s in (incumbent_s, float(best.optimum)):
        part = reduction.rule_out(whole, relaxed.multipliers, objective_s)
        left = part.formulation
        found = cpsat.whole_values(left, relaxed)
        assert (left.limits >= 0).all() and found.value.shape == left.request.shape
        rest = enumerate_part(left)
        assert rest is not None
        assert sum(map(Fraction, whole.value[part.taken].tolist()), rest) == best.optimum


def enumerate_part(left: formulation.Formulation) -> Fraction | None:
    """The exact optimum of a formulation of few columns, by enumeration; None where nothing is feasible."""
    groups = [np.flatnonzero(left.request == request).tolist() for request in np.unique(left.request)]
    states: dict[tuple[int, ...], Fraction] = {(0,) * len(left.limits): Fraction(0)}
    for group in groups:
        after: dict[tuple[int, ...], Fraction] = {} if left.required[group[0]] else dict(states)
        for used, value in states.items():
            for column in group:
                total = tuple(int(u + r) for u, r in zip(used, left.resources[:, column], strict=True))
                if all(u <= limit for u, limit in zip(total, left.limits.tolist(), strict=True)):
                    worth = value + Fraction(left.value[column].item())
                    after[total] = max(worth, after.get(total, worth))
        states = after
    return max(states.values(), default=None)


def test_restart_on_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that stops without a proof is asked again on less, down to the part that proves its incumbent."""
    problem = serving_like(400, 1, 0.5, 0.1)
    expected = cpsat.solve(problem)
    asked: list[int] = []

    def run(left: formulation.Formulation, start: duals.LinearOptimum, seconds: float) -> answer.Finding:
        asked.append(left.num_columns)
        finding = milp._run(package("scipy.optimize"), left, start, seconds)
        return finding if len(asked) > 1 else dataclasses.replace(finding, proved=False)

    solution = answer.answer(run, problem, 60)
    assert solution.status is Status.OPTIMAL
    assert solution.objective_s == pytest.approx(expected.objective_s, rel=1e-9)
    assert len(asked) == 1 or asked[1] < asked[0] / 2


def test_broken_incumbent_is_not_believed() -> None:
    """An incumbent over the limit is dropped with its claim: the greedy's stays, FEASIBLE."""

    def run(left: formulation.Formulation, start: duals.LinearOptimum, seconds: float) -> answer.Finding:
        return answer.Finding(np.ones(left.num_columns), proved=True)

    problem = dataclasses.replace(BY_HAND, capacity=6)
    solution = answer.answer(run, problem, None)
    assert solution.status is Status.FEASIBLE and solution.objective_s == greedy(problem).objective_s


def test_whole_values_bound_their_error() -> None:
    """CP-SAT's integers are within half a unit of the scaled values, and exact for dyadic ones."""
    whole = formulation.formulate(serving_like(50, 0))
    scaled = cpsat.whole_values(whole, duals.solve_linear(whole))
    error = [abs(Fraction(v) * 2**scaled.exponent - int(w)) for v, w in zip(whole.value, scaled.value, strict=True)]
    assert max(error) <= Fraction(1, 2)
    dyadic = formulation.formulate(BY_HAND)
    exact = cpsat.whole_values(dyadic, duals.solve_linear(dyadic))
    assert (exact.value == dyadic.value * 2.0**exact.exponent).all()
