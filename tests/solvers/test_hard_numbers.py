"""Numbers that solvers in floats cannot tell apart: what is said to be optimal is, exactly, or it is not said."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from aptsched import BatchProblem
from brute_force import check_selection, enumerate_all
from hard_problems import CANCELLING, DENORMAL, SUBNORMAL
from proofs import extreme_instances, fuzz
from references import EXACT, Solve, each, each_exact
from solvers import lp
from solvers.program import answer, formulation, scaled_rows, tolerances
from solvers.solution import Status
from strategies import sweep_problem

LARGE_WEIGHTS = BatchProblem(
    [
        [11.0],
        [0.9980360640029173],
        [7.684826657938473],
        [1.0],
        [4.730226304501139],
        [16.0],
        [8.0],
        [2.0],
        [9.254465592479539],
    ],
    [[33554432], [22369621], [67108864], [22369622], [67108865], [100663297], [44739242], [22369622], [67108864]],
    223696214,
    [335544320, 201326592, 2, 201326592, 335544320, 3, 5, 134217728, 1],
    603979781,
)


@each
@pytest.mark.parametrize("problem", [CANCELLING, SUBNORMAL, DENORMAL], ids=["cancelling", "subnormal", "denormal"])
def test_optima_that_floats_hide(solve: Solve, problem: BatchProblem) -> None:
    """A difference below the rounding of a costly base, and the least float: the optimum, its bound, and both exact."""
    solution, optimum = solve(problem, None), enumerate_all(problem).optimum
    assert solution.status is Status.OPTIMAL and solution.selection is not None
    assert check_selection(problem, solution.selection) == optimum == Fraction(solution.bound_s)


@each_exact
def test_weights_beyond_a_tolerance(solve: Solve) -> None:
    """Weights around 2**26, of which CBC called 37.0 optimal: digit by digit each solver finds 37.2525, exactly."""
    solution, optimum = solve(LARGE_WEIGHTS, None), enumerate_all(LARGE_WEIGHTS).optimum
    assert solution.status is Status.OPTIMAL and solution.selection is not None and optimum is not None
    assert solution.selection.form.tolist() == [1, 1, 0, 0, 0, 1, 0, 0, 1]
    assert check_selection(LARGE_WEIGHTS, solution.selection) == optimum <= Fraction(solution.bound_s)


@each_exact
@pytest.mark.parametrize("index", [1408, 4435])
def test_a_price_of_a_limit_that_nothing_uses(solve: Solve, index: int) -> None:
    """It is beyond 64 bits in units of values small beside it, and worth nothing: the optimum is found."""
    problem = sweep_problem(index)
    solution, optimum = solve(problem, None), enumerate_all(problem).optimum
    assert solution.status is Status.OPTIMAL and solution.selection is not None and optimum is not None
    missed = optimum - check_selection(problem, solution.selection)
    assert missed <= optimum / 2**32 and optimum <= Fraction(solution.bound_s)


@pytest.mark.parametrize("name", [*EXACT, "lp"])
def test_instances_at_the_ends_of_what_is_accepted(name: str) -> None:
    """Some of them by every general solver: what is proved is the optimum, and every bound holds, without a warning."""
    rng = np.random.default_rng(20261128)
    for _ in range(12):
        fuzz.check_batch(extreme_instances.extreme_batch(rng, 4), [name])


@pytest.mark.parametrize("seed", range(40))
def test_digits_state_the_same_limits(seed: int) -> None:
    """Every choice of columns keeps the limits where carries make it keep the rows, of numbers up to 400,000."""
    rng = np.random.default_rng(seed)
    most = 2 ** int(rng.choice([4, 18, 26, 32]))
    weights = rng.integers(0, most + 1, (6, 1))
    capacity = int(weights.sum() * rng.uniform(0.2, 0.9))
    whole = formulation.formulate(BatchProblem(np.ones((6, 1)), weights, capacity))
    stated = scaled_rows.scale_rows(whole)
    assert max(abs(stated.use).max(initial=0), stated.limits.max(initial=0)) <= scaled_rows.LARGEST
    assert stated.most.size == 0 or max(most, capacity) > scaled_rows.LARGEST
    for chosen in range(2**whole.num_columns):
        x = np.array([chosen >> column & 1 for column in range(whole.num_columns)])
        assert _carries_exist(stated, x) == bool((whole.resources @ x <= whole.limits).all())


def _carries_exist(stated: scaled_rows.ScaledRows, x: np.ndarray) -> bool:
    """Whether the least carries that the rows ask for, from the lowest digit on, keep all of them."""
    carries: list[int] = []
    for use, limit in zip(stated.use.astype(int).tolist(), stated.limits.astype(int).tolist(), strict=True):
        columns, rest = use[: len(x)], use[len(x) :]
        taken = int(np.dot(columns, x)) + sum(a * q for a, q in zip(rest, carries, strict=False))
        if len(carries) < len(rest) and rest[len(carries)] < 0:
            carries.append(max(0, -((limit - taken) // -rest[len(carries)])))
        elif taken > limit:
            return False
    return all(q <= most for q, most in zip(carries, stated.most.tolist(), strict=True))


@pytest.mark.parametrize(("missed_s", "status"), [(1e-12, Status.OPTIMAL), (1e-6, Status.FEASIBLE)])
def test_a_proof_that_may_miss_too_much_is_not_believed(missed_s: float, status: Status) -> None:
    """A solver that proves the optimum, but for more than 2**-33 of the values, is not said to have proved anything."""
    problem = BatchProblem([[7.0], [5.0], [3.0], [2.0]], [[5], [4], [3], [2]], 8)

    def run(left: formulation.Formulation, start: object, seconds: float) -> answer.Finding:
        best = enumerate_all(problem).form
        assert best is not None
        x = (best[left.request] == left.form).astype(float)
        return answer.Finding(x, proved=True, missed_s=missed_s)

    solution = answer.answer(run, problem, None)
    assert solution.status is status and solution.objective_s == 10.0 <= solution.bound_s


def test_no_bound_is_taken_where_digits_are_large() -> None:
    """A solver's bound counts where rows are stated as they are, with its tolerances added."""
    plain = formulation.formulate(BatchProblem([[3.0], [2.0]], [[2], [2]], 3))
    assert 3.0 < tolerances.safe_bound_s(plain, 3.0 * 2.0 ** plain.scaled_values()[1]) < 3.0001
    large = formulation.formulate(BatchProblem([[3.0], [2.0]], [[2**31 - 1], [2**31]], 3 * 2**30))
    assert tolerances.safe_bound_s(large, 1.0) == tolerances.safe_bound_s(plain, np.inf) == np.inf


def test_lp_proves_what_its_certificate_proves() -> None:
    """Where no limit binds each request has its best form, and beyond that only what bounds rule out is proved."""
    free = lp.solve(BatchProblem([[1e200, 1.0], [2.0, 3.0]], [[1, 1], [1, 2]], 9))
    assert free.status is Status.OPTIMAL and free.selection is not None and free.selection.form.tolist() == [1, 2]
    assert lp.solve(LARGE_WEIGHTS).status is Status.FEASIBLE
