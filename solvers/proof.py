"""The bound that goes with a proof of optimality."""

from __future__ import annotations

import math

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import sums
from aptsched.problem.selection import Selection, served_positions
from aptsched.support.checks import Floats, Ints

FEW = 16  # the values of so many requests mostly show already that the grid is fine
ROUNDED = 1 + 2.0**-40  # more than any sum here can be rounded down by


def chosen_s(problem: BatchProblem, form: Ints) -> float:
    """The sum of the absolute values of forms, [n], rounded up, in seconds; tolerances are relative to it."""
    return ROUNDED * float(np.abs(problem.values.T.take(served_positions(form, problem.num_forms))).sum())


def proved_bound(problem: BatchProblem, selection: Selection, values_s: float, tolerance: float) -> float:
    """An upper bound on the optimum, in seconds, given that no selection is better by more than a tolerance.

    Parameters
    ----------
    problem : BatchProblem
    selection : Selection
    values_s : float
        Its `chosen_s`.
    tolerance : float
        Relative error of the method's arithmetic, of the absolute values chosen and the certified bound together.

    Returns
    -------
    float
        The objective itself where the values of all selections are multiples of a step larger than the tolerance, for
        then none is better; otherwise the objective plus the tolerance, rounded up, or the certified bound if lower.
    """
    missed = tolerance * (values_s + abs(selection.bound_s))
    if missed < grid(problem.values[:FEW]) and missed < grid(problem.values):
        return selection.objective_s
    return min(selection.bound_s, math.nextafter(selection.objective_s + missed, math.inf))


def rounded_up(problem: BatchProblem, selection: Selection) -> float:
    """The exact value of a selection, in seconds, rounded up to a float."""
    return sums(problem.values.T.take(served_positions(selection.form, problem.num_forms)).tolist())[1]


def grid(values: Floats) -> float:
    """The largest power of two of which all values are multiples; inf if all are 0."""
    mantissa, exponent = np.frexp(values[values != 0])
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    return float(np.ldexp((whole & -whole).astype(np.float64), exponent - 53).min(initial=np.inf))
