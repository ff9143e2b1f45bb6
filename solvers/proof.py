"""The bound that goes with a proof of optimality."""

from __future__ import annotations

import math

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import chosen_values, sums
from aptsched.problem.selection import Selection
from aptsched.support.checks import Floats
from aptsched.support.compiled import compiled

ROUNDED = 1 + 2.0**-40  # more than any sum here can be rounded down by


def chosen_s(problem: BatchProblem, selection: Selection) -> float:
    """The sum of the absolute values chosen, rounded up, in seconds; tolerances are relative to it."""
    if problem.required is None:  # nobody is served at a loss
        return ROUNDED * selection.objective_s
    return ROUNDED * float(np.abs(chosen_values(problem, selection.form)).sum())


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
    if is_finer(problem.options[0], missed):
        return selection.objective_s
    return min(selection.bound_s, math.nextafter(selection.objective_s + missed, math.inf))


def rounded_up(problem: BatchProblem, selection: Selection) -> float:
    """The exact value of a selection, in seconds, rounded up to a float."""
    return sums(chosen_values(problem, selection.form).tolist())[1]


@compiled
def is_finer(values: Floats, missed: float) -> bool:
    """Whether what is missed is less than some power of two of which all values, [k, n], are multiples."""
    for row in range(len(values)):
        for i in range(len(values[row])):
            if values[row][i] != 0:
                mantissa, exponent = math.frexp(values[row][i])
                whole = int(mantissa * 2.0**53)
                if missed >= math.ldexp(float(whole & -whole), exponent - 53):
                    return False
    return True
