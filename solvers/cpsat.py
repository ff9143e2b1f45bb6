"""OR-Tools CP-SAT: the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.checks import Ints
from solvers.program.answer import Finding, answer
from solvers.program.duals import LinearOptimum
from solvers.program.formulation import Formulation
from solvers.program.packages import package
from solvers.program.silence import silence
from solvers.solution import Solution

NUM_WORKERS = 8  # with 1 or 2 a proof can take many seconds more than with 8, even on two cores
SUM_BITS = 52  # any selection's value is below 2**52 units
RANGE_BITS = 60  # and every part of the objective at most 2**60, so that 64-bit integers can add them up
REPORTED = 2.0 ** (RANGE_BITS - 52)  # the most by which the bound, reported as a double, can be off
SEED = 0


def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
    """Solve with CP-SAT, in whole numbers throughout.

    How exact OPTIMAL is: CP-SAT proves the optimum of values rounded to units of 2**-exponent seconds, the smallest
    at which any selection's value stays below 2**52 units. A value moves by at most half a unit, and not at all if
    it is whole; so the selection is within num_served units of the true optimum, num_served * 2**-50 of the sum of all
    values. Selections closer than that are not told apart; if the error exceeds 2**-33 of the values chosen, the answer
    is not called optimal. The error is part of the bound at a time-out.

    The objective is stated in Lagrangian form, with the multipliers of the relaxation in whole units: on every
    selection it equals the sum of values, whatever the multipliers, and the search starts from the bound they prove.

    Raises
    ------
    InputError
        For a time limit that is not above 0, or if OR-Tools or SciPy is not installed.
    """
    return answer(partial(_run, package("ortools.sat.python.cp_model")), problem, time_limit_s)


@dataclass(frozen=True, eq=False)
class WholeValues:
    """The objective in units of 2**-exponent seconds.

    Attributes
    ----------
    exponent : int
    value : int array, [num_columns]
        rint(value * 2**exponent).
    prices : list of int, [num_limits]
        Multipliers of the shared limits; all 0 where the Lagrangian form would leave RANGE_BITS.
    error : float
        By how much a selection's value can exceed its whole value: half a unit for each request with a value that is
        not whole.
    """

    exponent: int
    value: Ints
    prices: list[int]
    error: float


def whole_values(formulation: Formulation, relaxation: LinearOptimum) -> WholeValues:
    """Scale values and multipliers to integers."""
    largest = np.zeros(formulation.problem.num_requests)
    np.maximum.at(largest, formulation.request, np.abs(formulation.value))
    exponent = SUM_BITS - 1 - math.frexp(math.fsum(largest.tolist()))[1] if largest.any() else 0
    exact = np.ldexp(formulation.value, exponent)
    whole = np.rint(exact)
    multipliers = relaxation.multipliers
    by_kind = np.array([multipliers.per_block_s, multipliers.per_token_s, multipliers.per_seq_s])
    with np.errstate(over="ignore", invalid="ignore"):  # after an overflow the span is below no limit
        prices = np.rint(np.ldexp(by_kind[list(formulation.kinds)] * formulation.units, exponent))
        span = np.abs(whole).sum() + (prices @ formulation.resources).sum() + prices @ (formulation.limits + 1)
    return WholeValues(
        exponent=exponent,
        value=whole.astype(np.int64),
        prices=[int(price) if span < 2.0**RANGE_BITS else 0 for price in prices],
        error=0.5 * np.unique(formulation.request[whole != exact]).size,
    )


def _run(cp_model: Any, formulation: Formulation, relaxation: LinearOptimum, time_limit_s: float) -> Finding:
    whole = whole_values(formulation, relaxation)
    model, columns = _model(cp_model, formulation, relaxation, whole)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = NUM_WORKERS
    solver.parameters.random_seed = SEED
    solver.parameters.catch_sigint_signal = False  # else Ctrl-C ends only this solve, and Python is not told
    solver.parameters.relative_gap_limit = 0.0
    solver.parameters.absolute_gap_limit = 0.0
    solver.parameters.max_time_in_seconds = time_limit_s
    with silence():
        status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Finding(None, proved=False)
    bound = solver.best_objective_bound + whole.error + REPORTED
    return Finding(
        x=np.array([solver.value(column) for column in columns], np.float64),
        proved=status == cp_model.OPTIMAL,
        bound_s=math.nextafter(math.ldexp(bound, -whole.exponent), math.inf),
        missed_s=math.ldexp(2 * whole.error, -whole.exponent),
    )


def _model(
    cp_model: Any, formulation: Formulation, relaxation: LinearOptimum, whole: WholeValues
) -> tuple[Any, list[Any]]:
    """The model in Lagrangian form, and the variable of each column.

        maximise    sum (value - prices resources) x - prices slack + prices limits
        subject to  resources x + slack = limits

    A request's best reduced value moves to the constant, so that every coefficient left is a loss. All is hinted with
    the relaxation rounded down.
    """
    model, hint = cp_model.CpModel(), relaxation.chosen.tolist()
    columns = [_hinted(model, model.new_bool_var(""), chosen) for chosen in hint]
    gains = (whole.value - np.array(whole.prices, np.int64) @ formulation.resources).tolist()
    constant, variables, coefficients = 0, list(columns), gains
    for members, equation in formulation.groups():
        choice = [columns[member] for member in members]
        best = max([gains[member] for member in members] + [0] * (not equation))
        if not equation:
            unserved = _hinted(model, model.new_bool_var(""), not any(hint[member] for member in members))
            choice.append(unserved)
            variables.append(unserved)
            coefficients.append(-best)
        model.add_exactly_one(choice)
        constant += best
        for member in members:
            gains[member] -= best
    for row, limit, price in zip(formulation.resources, formulation.limits.tolist(), whole.prices, strict=True):
        slack = _hinted(model, model.new_int_var(0, limit, ""), limit - int(row[relaxation.chosen].sum()))
        model.add(cp_model.LinearExpr.weighted_sum([*columns, slack], [*row.tolist(), 1]) == limit)
        variables.append(slack)
        coefficients.append(-price)
        constant += price * limit
    model.maximize(cp_model.LinearExpr.weighted_sum(variables, coefficients) + constant)
    return model, columns


def _hinted(model: Any, variable: Any, value: int) -> Any:
    model.add_hint(variable, value)
    return variable
