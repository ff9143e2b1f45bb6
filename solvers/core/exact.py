"""The exact optimum, fast enough for every iteration: LP, reduction by bounds, dynamic programming over the core."""

from __future__ import annotations

import time

import numpy as np

from aptsched.knapsack.fill import room_left
from aptsched.knapsack.greedy import multipliers, rounded
from aptsched.knapsack.relaxation import Relaxation, relax
from aptsched.knapsack.residual import Residual, reduce
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.support.arrays import any_of
from aptsched.support.checks import Ints
from aptsched.support.errors import InfeasibleError
from solvers.core.alternatives import Pricing
from solvers.core.budget import Budget
from solvers.core.one_resource import WIDEST, best_in_table, width
from solvers.core.several_resources import best_of_states
from solvers.core.whole_numbers import best_exactly
from solvers.proof import chosen_s, proved_bound, rounded_up
from solvers.solution import Solution, Status

DEFAULT_WORK = 20_000_000  # some seconds
TOLERANCE = 2.0**-40  # the error of float64 sums, relative to what is added up
FIRST = 32  # requests in the first, small core
BEAMS = (256, 4096, 65_536, 1_048_576)


def solve(problem: BatchProblem, time_limit_s: float | None = None, max_work: int | None = None) -> Solution:
    """The optimum, proved, or at a limit the incumbent with its certificate.

    The LP relaxation is solved on hulls, an incumbent comes from the greedy, and every option whose reduced cost shows
    that it is in no better selection is removed. Dynamic programming over the core of requests that still have a choice
    finds the optimum: over a small core first, for a better incumbent, then over all that are still open.

    Parameters
    ----------
    problem : BatchProblem
    time_limit_s : float, optional
        Seconds after which the incumbent is returned.
    max_work : int, optional
        The same by a deterministic count: states and table entries. With neither limit it is `DEFAULT_WORK`, which
        memory alone does not come near on batches as servers have them.

    Returns
    -------
    Solution
        OPTIMAL: no selection is better, up to the rounding of float64 sums, at most 2**-40 of the absolute values
        chosen, which is added to `bound_s` unless nothing can be rounded (`proved_bound`). Rounding could hide more
        where a required request's base, which is subtracted from its values, is large, or where other requests are
        worth far more than one: then the answer is found in whole numbers, without rounding.
        FEASIBLE: a limit was reached. INFEASIBLE, with the smallest overload: the required requests do not fit.

    Source: Pisinger (1995), a minimal algorithm for the multiple-choice knapsack problem, here in arrays; for several
    resources, bounds and dominance instead of his states.
    """
    start = time.perf_counter()
    if time_limit_s is None and max_work is None:
        max_work = DEFAULT_WORK
    budget = Budget(time_limit_s, max_work)
    try:
        residual = reduce(problem)
    except InfeasibleError as overload:
        return Solution(Status.INFEASIBLE, None, -np.inf, -np.inf, time.perf_counter() - start, overload)
    relaxation = relax(residual, refill=True)
    option, proved, rounding = exact(residual, relaxation, rounded(residual, relaxation, fill=True), budget)
    form, exactly = residual.forms(option), False
    values_s = chosen_s(problem, form)
    if proved and not in_sight(residual, rounding, values_s):
        pricing = Pricing(residual, relaxation, np.flatnonzero(np.isfinite(residual.limits)))
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
    limited = np.flatnonzero(np.isfinite(residual.limits))
    priced = limited[np.array(relaxation.price)[limited] > 0]
    pricing = Pricing(residual, relaxation, priced)
    better, proved = improve(pricing, option, budget)
    if len(priced) < len(limited) and min(room_left(residual, better)) < 0:
        pricing = Pricing(residual, relaxation, limited)
        better, proved = improve(pricing, option, budget)
    return better, proved, pricing.rounding


def improve(pricing: Pricing, option: Ints, budget: Budget) -> tuple[Ints, bool]:
    """The best selection within the resources priced, and whether that is proved."""
    for first in (FIRST, len(option)):
        gap = pricing.gap(option)
        if gap <= 0:
            return option, True
        alternatives = pricing.alternatives(gap)
        core = alternatives.of_first(first)
        if len(pricing.slack) != 1 or width(core) > WIDEST:
            return _by_states(pricing, option, budget)
        answer = best_in_table(core, int(pricing.slack[0]), budget)
        if answer is None:
            return option, False
        option = pricing.better(option, core, answer)
        if len(core.request) == len(alternatives.request):
            break
    return option, True


def _by_states(pricing: Pricing, option: Ints, budget: Budget) -> tuple[Ints, bool]:
    """As `improve`, by lists of states, with ever wider beams until one is wide enough."""
    for beam in BEAMS:
        gap = pricing.gap(option)
        if gap <= 0:
            return option, True
        alternatives = pricing.alternatives(gap)
        incumbent_s = pricing.worth(option) - pricing.star_gain
        chosen, proved = best_of_states(alternatives, pricing.slack, incumbent_s, gap, beam, budget)
        option = pricing.better(option, alternatives, chosen)
        if proved or budget.spent:
            return option, proved
    return option, False
