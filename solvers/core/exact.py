"""The exact optimum, fast enough for every iteration: LP, reduction by bounds, dynamic programming over the core."""

from __future__ import annotations

import math
import time
from operator import itemgetter

import numpy as np

from aptsched.knapsack.fill import room_left
from aptsched.knapsack.greedy import multipliers, rounded
from aptsched.knapsack.relaxation import Relaxation
from aptsched.knapsack.residual import Residual
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.support.arrays import any_of
from aptsched.support.checks import Ints
from aptsched.support.errors import InfeasibleError
from solvers.core.alternatives import Pricing
from solvers.core.budget import Budget
from solvers.core.states import best_of_states
from solvers.core.whole_numbers import best_exactly
from solvers.proof import chosen_s, proved_bound, rounded_up
from solvers.solution import Solution, Status

DEFAULT_WORK = 5_000_000  # tenths of a second, or seconds in plain Python
TOLERANCE = 2.0**-40  # the error of float64 sums, relative to what is added up
BEAMS = (256, 4096, 65_536, 1_048_576)


def solve(problem: BatchProblem, time_limit_s: float | None = None, max_work: int | None = None) -> Solution:
    """The optimum, proved, or at a limit the incumbent with its certificate.

    The LP relaxation is solved on hulls, an incumbent comes from the greedy, and every option whose reduced cost shows
    that it is in no better selection is removed. Dynamic programming over the core of requests that still have a choice
    finds the optimum: those that lose least by it first, so that better incumbents soon leave little to look at.

    Parameters
    ----------
    problem : BatchProblem
    time_limit_s : float, optional
        Seconds after which the incumbent is returned.
    max_work : int, optional
        The same by a deterministic count: pairs of a state and an alternative. With neither limit it is `DEFAULT_WORK`,
        which memory alone does not come near on batches as servers have them.

    Returns
    -------
    Solution
        OPTIMAL: no selection is better, up to the rounding of float64 sums, at most 2**-40 of the absolute values
        chosen, which is added to `bound_s` unless nothing can be rounded (`proved_bound`). Rounding could hide more
        where a required request's base, which is subtracted from its values, is large, or where other requests are
        worth far more than one: then the answer is found in whole numbers, without rounding.
        FEASIBLE: a limit was reached. INFEASIBLE, with the smallest overload: the required requests do not fit.

    Source: Pisinger (1995), a minimal algorithm for the multiple-choice knapsack problem, here for several resources.
    """
    start = time.perf_counter()
    if time_limit_s is None and max_work is None:
        max_work = DEFAULT_WORK
    budget = Budget(time_limit_s, max_work)
    try:
        residual, relaxation, option = rounded(problem, fill=True)
    except InfeasibleError as overload:
        return Solution(Status.INFEASIBLE, None, -np.inf, -np.inf, time.perf_counter() - start, overload)
    option, proved, rounding = exact(residual, relaxation, option, budget)
    form, exactly = residual.forms(option), False
    values_s = chosen_s(problem, form)
    if proved and not in_sight(residual, rounding, values_s):
        pricing = Pricing(residual, relaxation, limited(residual))
        option, exactly = best_exactly(problem, residual, pricing, option, budget)
        form, proved = residual.forms(option), exactly or rounding * residual.unit_s <= TOLERANCE * values_s
    selection = certify(problem, form, multipliers(problem, residual, relaxation))
    bound_s = selection.bound_s
    if proved:
        bound_s = rounded_up(problem, selection) if exactly else proved_bound(problem, selection, values_s, TOLERANCE)
    status = Status.OPTIMAL if proved else Status.FEASIBLE
    return Solution(status, selection, selection.objective_s, bound_s, time.perf_counter() - start)


def in_sight(residual: Residual, rounding: float, values_s: float) -> bool:
    """Whether rounding hides at most the tolerance of the values chosen, and less than the gain of any option."""
    if rounding * residual.unit_s > TOLERANCE * values_s:
        return False
    return not any_of((residual.gain > 0) & (residual.gain <= rounding))


def exact(residual: Residual, relaxation: Relaxation, option: Ints, budget: Budget) -> tuple[Ints, bool, float]:
    """The best selection up to rounding, whether that is proved, and how much rounding may hide; from a feasible one.

    Resources of price 0 in the LP are first taken as unlimited: an answer within their limits stands.
    """
    every = limited(residual)
    priced = [resource for resource in every if relaxation.price[resource] > 0]
    pricing = Pricing(residual, relaxation, priced)
    better, proved = improve(pricing, option, budget)
    if len(priced) < len(every) and min(room_left(residual, better)) < 0:
        pricing = Pricing(residual, relaxation, every)
        better, proved = improve(pricing, option, budget)
    return better, proved, pricing.rounding


def limited(residual: Residual) -> list[int]:
    """The resources of which less is free than all could take: 0 = blocks, 1 = tokens, 2 = sequences."""
    return [resource for resource, limit in enumerate(residual.limits) if limit < math.inf]


def improve(pricing: Pricing, option: Ints, budget: Budget) -> tuple[Ints, bool]:
    """The best selection within the resources priced, and whether that is proved: by ever wider beams of states."""
    worth = pricing.worth(option)
    for beam in BEAMS:
        gap = pricing.gap(worth)
        if gap <= 0:
            return option, True
        alternatives = pricing.near(gap)
        chosen, proved, work = best_of_states(
            alternatives, pricing.slack, pricing.price, worth - pricing.star_gain, gap, beam, budget.at_once
        )
        if len(chosen) or (min(pricing.slack, default=0) >= 0 and pricing.star_gain > worth):
            changed = pricing.changed(alternatives, chosen)
            option, worth = max((option, worth), (changed, pricing.worth(changed)), key=itemgetter(1))
        if not budget.spend(work) or proved:
            return option, proved
    return option, False
