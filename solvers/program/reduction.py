"""Columns that an incumbent and a certificate rule out: a smaller program with the same optimum."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from aptsched.problem.certificate import prices
from aptsched.problem.selection import Multipliers
from aptsched.support.checks import Bools, Floats
from solvers.program.duals import solve_linear
from solvers.program.formulation import Formulation

MARGIN = 2.0**-40  # of the sum of all values and prices: float arithmetic loses less than 2**-49 of it here


@dataclass(frozen=True, eq=False)
class Part:
    """What is left to decide of a formulation.

    Attributes
    ----------
    formulation : Formulation
        The columns left to decide, with the shared limits less what the taken columns use.
    kept : bool array, [num_columns]
        Which columns of the whole formulation those are.
    taken : bool array, [num_columns]
        Columns that every better selection contains.
    taken_s : float
        Their value in seconds, rounded up.
    """

    formulation: Formulation
    kept: Bools
    taken: Bools
    taken_s: float

    def whole(self, x: Floats | Bools) -> Floats:
        """A solution of the part as one of the whole formulation, [num_columns]."""
        result = self.taken.astype(np.float64)
        result[self.kept] = x
        return result


def everything(formulation: Formulation) -> Part:
    """The part in which nothing is ruled out."""
    nothing = np.zeros(formulation.num_columns, np.bool_)
    return Part(formulation, ~nothing, nothing, 0.0)


def rule_out(formulation: Formulation, multipliers: Multipliers, objective_s: float) -> Part:
    """Rule out each choice that the multipliers prove to be worth less than an incumbent.

    By weak duality, a selection with a choice whose reduced value is `loss` below the best of its request is worth at
    most bound - loss. Only choices (one of them is not to serve the request) that occur in no selection of at least
    `objective_s` are ruled out, so the optimum stays, and all its ties. Source: Ingargiola and Korsh (1973); here a
    margin covers what float arithmetic loses.
    """
    problem, request = formulation.problem, formulation.request
    price = prices(problem, multipliers)[request, formulation.form - 1]
    reduced = formulation.value - price
    best = np.zeros(problem.num_requests)
    best[request[formulation.required]] = -np.inf
    np.maximum.at(best, request, reduced)
    bound_s = formulation.paid_s(multipliers) + float(best.sum())
    allowance_s = bound_s - objective_s + MARGIN * (np.abs(formulation.value).sum() + price.sum() + abs(bound_s))
    possible = best[request] - reduced <= allowance_s
    required = formulation.required | (best[request] > allowance_s)
    taken = possible & required & (np.bincount(request[possible], minlength=problem.num_requests)[request] == 1)
    kept = possible & ~taken
    part = replace(
        formulation,
        request=request[kept],
        form=formulation.form[kept],
        value=formulation.value[kept],
        required=required[kept],
        resources=formulation.resources[:, kept],
        limits=formulation.limits - formulation.resources[:, taken].sum(axis=1),
    )
    return Part(part, kept, taken, worth_rounded_up(formulation, taken))


def sharpen(formulation: Formulation, multipliers: Multipliers, chosen: Bools) -> tuple[Part, Bools]:
    """Rule out repeatedly, by the relaxation of what is left and with the better incumbents that it finds.

    Where some values are far larger than others, prices that fit the small ones only appear once the large ones are
    decided; and the error of float arithmetic, a fraction of the largest value left, becomes smaller each time.
    """
    part = rule_out(formulation, multipliers, _worth_s(formulation, chosen))
    while part.formulation.num_columns:
        relaxation = solve_linear(part.formulation)
        found = part.whole(relaxation.chosen) > 0
        if formulation.is_feasible(found) and formulation.is_better(found, chosen):
            chosen = found
        inner = rule_out(part.formulation, relaxation.multipliers, _worth_s(part.formulation, chosen[part.kept]))
        if inner.formulation.num_columns == part.formulation.num_columns:
            break
        taken = part.whole(inner.taken) > 0
        kept = np.zeros_like(taken)
        kept[part.kept] = inner.kept
        part = Part(inner.formulation, kept, taken, worth_rounded_up(formulation, taken))
    return part, chosen


def worth_rounded_up(formulation: Formulation, chosen: Bools) -> float:
    """The value of these columns in seconds, rounded up."""
    return math.nextafter(_worth_s(formulation, chosen), math.inf)


def _worth_s(formulation: Formulation, chosen: Bools) -> float:
    return math.fsum(formulation.value[chosen].tolist())
