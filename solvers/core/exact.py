"""The exact optimum, fast enough for every iteration: LP, reduction by bounds, dynamic programming over the core."""

from __future__ import annotations

import math
import time

import numpy as np

from aptsched.knapsack.fill import room_left
from aptsched.knapsack.greedy import multipliers, rounded
from aptsched.knapsack.relaxation import Relaxation
from aptsched.knapsack.residual import Residual
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.problem.exact_sum import UNIT_ROUNDOFF
from aptsched.problem.selection import Selection
from aptsched.support.checks import Ints
from aptsched.support.errors import InfeasibleError
from solvers.core.alternatives import CHUNK, near
from solvers.core.budget import Budget
from solvers.core.states import search
from solvers.core.whole_numbers import best_exactly
from solvers.proof import chosen_s, proved_bound, rounded_up
from solvers.solution import Solution, Status

ONLINE_WORK = 30_000  # some milliseconds
DEFAULT_WORK = 5_000_000  # tenths of a second, or seconds in plain Python
TOLERANCE = 2.0**-40  # the error of float64 sums, relative to what is added up
NUMBERS = (192, 3072, 49_152, 786_432)  # of states that are kept, one of each resource for each
MISSED = 1 + 1e-9  # times the gap: with what sums of losses may miss


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
    prices = multipliers(problem, residual, relaxation)
    selection, exactly = certify(problem, residual.forms(option), prices), False
    values_s = chosen_s(problem, selection)
    if proved and not in_sight(residual, rounding, values_s):
        option, exactly = best_exactly(problem, residual, relaxation.price, option, budget)
        selection = certify(problem, residual.forms(option), prices)
        proved = exactly or rounding * residual.unit_s <= TOLERANCE * values_s
    bound_s = selection.bound_s
    if proved:
        bound_s = rounded_up(problem, selection) if exactly else proved_bound(problem, selection, values_s, TOLERANCE)
    status = Status.OPTIMAL if proved else Status.FEASIBLE
    return Solution(status, selection, selection.objective_s, bound_s, time.perf_counter() - start)


def exact_selection(problem: BatchProblem) -> Selection:
    """The best selection, or the best that is found with a count of work that an iteration can afford.

    It can be given to policies as their option `select`, in place of `greedy`. Raises InfeasibleError as that does.
    """
    solution = solve(problem, max_work=ONLINE_WORK)
    if solution.selection is None:
        assert solution.overload is not None
        raise solution.overload
    return solution.selection


def in_sight(residual: Residual, rounding: float, values_s: float) -> bool:
    """Whether rounding hides at most the tolerance of the values chosen, and less than the gain of any option."""
    if rounding * residual.unit_s > TOLERANCE * values_s:
        return False
    least = residual.gain.item(residual.gain.argmin())
    return least > rounding or not ((residual.gain > 0) & (residual.gain <= rounding)).any()


def exact(residual: Residual, relaxation: Relaxation, option: Ints, budget: Budget) -> tuple[Ints, bool, float]:
    """The best selection up to rounding, whether that is proved, and how much rounding may hide; from a feasible one.

    Resources of price 0 in the LP are first taken as unlimited: an answer within their limits stands.
    """
    every = limited(residual)
    priced = [resource for resource in every if relaxation.price[resource] > 0]
    better, proved, rounding = improve(residual, relaxation.price, priced, option, budget)
    if len(priced) < len(every) and min(room_left(residual, better)) < 0:
        return improve(residual, relaxation.price, every, option, budget)
    return better, proved, rounding


def limited(residual: Residual) -> list[int]:
    """The resources of which less is free than all could take: 2 = sequences, 1 = tokens, 0 = blocks, in this order."""
    return [resource for resource in (2, 1, 0) if residual.limits[resource] < math.inf]


def improve(
    residual: Residual, price: tuple[float, float, float], resources: list[int], option: Ints, budget: Budget
) -> tuple[Ints, bool, float]:
    """The best selection within some resources, proved or not, and the rounding: by ever wider beams of states."""
    n, most, prices, which = len(option), residual.gain.size, np.array(price), np.array(resources, np.int64)
    star, chosen, sums = np.empty(n, np.int64), np.empty(most, np.int64), (8 * CHUNK + n // CHUNK) * UNIT_ROUNDOFF
    whole, within = np.empty((2 + len(which), most), np.int64), prices[which]
    table = whole, np.empty((4, most))
    for numbers in NUMBERS:
        slack = np.array([residual.limits[resource] for resource in resources], np.int64)
        m, gap, best, rounding = near(residual.options, prices, which, option, sums, star, slack, table)
        if gap <= 0:
            return option, True, rounding
        beam, gap = numbers // max(1, len(which)), gap * MISSED
        found = search(m, table, slack, within, best, gap, beam, budget.left, chosen)
        count, proved, work = budget.last(found)
        budget.left -= work
        if count >= 0:
            option = star.copy()
            option[whole[0, chosen[:count]]] = whole[1, chosen[:count]]
        if proved or budget.left < 0 or budget.is_late():
            break
    return option, proved, rounding
