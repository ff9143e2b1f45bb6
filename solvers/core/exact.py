"""The exact optimum, fast enough for every iteration: LP, reduction by bounds, dynamic programming over the core."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from aptsched.knapsack.fill import room_left
from aptsched.knapsack.greedy import multipliers, rounded
from aptsched.knapsack.residual import Amounts, Residual
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.problem.exact_sum import UNIT_ROUNDOFF
from aptsched.problem.selection import Selection
from aptsched.support import checks
from aptsched.support.checks import Ints
from aptsched.support.compiled import in_plain_python
from aptsched.support.errors import InfeasibleError
from solvers.core.alternatives import near
from solvers.core.states import search
from solvers.proof import chosen_s, proved_bound, rounded_up
from solvers.solution import Solution, Status

ONLINE_WORK = 30_000  # some milliseconds
DEFAULT_WORK = 5_000_000  # tenths of a second, or seconds in plain Python
WHOLE_WORK = 200_000  # some tenths of a second in whole numbers
MOST = 2**62  # more work, states, or units of a resource than any
PER_SECOND = 2**1074  # every float is a whole multiple of a second by this
TOLERANCE = 2.0**-40  # the error of float64 sums, relative to what is added up
BEAMS = (192, 3072, 49_152, 786_432)  # numbers of the states that are kept, one of each resource for each
MISSED = 2**23  # roundings, relative to the gap: what sums of losses may miss


@dataclass
class Budget:
    """How much longer a method may work: until a time of `time.perf_counter`, for the count of work left."""

    deadline_s: float
    left: int

    def is_late(self) -> bool:
        """Whether the deadline has come."""
        return time.perf_counter() >= self.deadline_s


def solve(problem: BatchProblem, time_limit_s: float | None = None, max_work: int | None = None) -> Solution:
    """The optimum, proved, or at a limit the incumbent with its certificate.

    The LP relaxation is solved on hulls, an incumbent comes from the greedy, and every option whose reduced cost shows
    that it is in no better selection is removed. Dynamic programming over the core of requests that still have a choice
    finds the optimum: after Pisinger (1995), a minimal algorithm for the multiple-choice knapsack problem.

    Parameters
    ----------
    problem : BatchProblem
    time_limit_s, max_work : float and int, optional
        Seconds after which the incumbent is returned, and the same by a deterministic count: pairs of a state and an
        alternative. With neither, `DEFAULT_WORK` pairs, which batches as servers have them do not come near.

    Returns
    -------
    Solution
        OPTIMAL: no selection is better, up to the rounding of float64 sums, at most 2**-40 of the absolute values
        chosen, which is added to `bound_s` unless nothing can be rounded (`proved_bound`). Rounding could hide more
        where a required request's base, which is subtracted from its values, is large, or where other requests are
        worth far more than one: then the answer is found in whole numbers, without rounding.
        FEASIBLE: a limit was reached. INFEASIBLE, with the smallest overload: the required requests do not fit.
    """
    start, default = time.perf_counter(), DEFAULT_WORK if time_limit_s is None else MOST
    max_work = default if max_work is None else checks.limit("max_work", max_work)
    budget = Budget(start + checks.time_limit(time_limit_s), max_work)
    try:
        residual, relaxation, option = rounded(problem, fill=True)
    except InfeasibleError as overload:
        return Solution(Status.INFEASIBLE, None, -np.inf, -np.inf, time.perf_counter() - start, overload)
    option, proved, rounding = exact(residual, residual.options, relaxation.price, option, budget)
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


def exact(
    residual: Residual, options: Any, price: Any, option: Ints, budget: Budget, exactly: bool = False
) -> tuple[Ints, bool, float]:
    """The best selection up to rounding, whether that is proved, and how much rounding may hide; from a feasible one.

    Resources of price 0 in the LP are first taken as unlimited: an answer within their limits stands.
    """
    every, given = limited(residual), (residual.limits, options, price)
    priced = [resource for resource in every if price[resource] > 0] or every
    found = improve(*given, priced, option, budget, exactly)
    if len(priced) < len(every) and min(room_left(residual, found[0])) < 0:
        return improve(*given, every, option, budget, exactly)
    return found


def best_exactly(
    problem: BatchProblem, residual: Residual, price: Amounts, option: Ints, budget: Budget
) -> tuple[Ints, bool]:
    """The same without rounding: the same loops, as they stand, in whole numbers of 2**-1074 seconds."""
    gains, prices = exact_gains(problem, residual), [whole(each * residual.unit_s) for each in price]
    budget.left = min(budget.left, WHOLE_WORK)
    return exact(residual, (gains, *residual.options[1:]), prices, option, budget, exactly=True)[:2]


def exact_gains(problem: BatchProblem, residual: Residual) -> list[list[int]]:
    """What each option, [k, n], is worth more than its request's base, in 2**-1074 seconds; 0 where not offered."""
    order = np.arange(problem.num_requests) if residual.order is None else residual.order
    base = np.zeros_like(order) if residual.base is None else residual.base
    values = np.insert(problem.values[order].T, 0, 0.0, axis=0)
    held = [whole(value) for value in values[base, np.arange(len(order))].tolist()]
    rows = zip(values[1:].tolist(), (residual.gain > 0).tolist(), strict=True)
    return [[(whole(v) - h) * offered for v, offered, h in zip(*row, held, strict=True)] for row in rows]


def whole(value: float) -> int:
    """A float in units of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * (PER_SECOND // denominator)


def limited(residual: Residual) -> list[int]:
    """The resources of which less is free than all could take: 2 = sequences, 1 = tokens, 0 = blocks, in this order."""
    return [resource for resource in (2, 1, 0) if residual.limits[resource] < math.inf] or [0]


def in_sight(residual: Residual, rounding: float, values_s: float) -> bool:
    """Whether rounding hides at most the tolerance of the values chosen, and less than the gain of any option."""
    if rounding * residual.unit_s > TOLERANCE * values_s:
        return False
    least = residual.gain.item(residual.gain.argmin())
    return least > rounding or not ((residual.gain > 0) & (residual.gain <= rounding)).any()


def improve(
    limits: Amounts, options: Any, price: Any, resources: list[int], option: Ints, budget: Budget, exactly: bool
) -> tuple[Ints, bool, float]:
    """The best selection within the limits of some resources, proved or not, and the rounding: by ever wider beams."""
    loops: Any = (in_plain_python(near), in_plain_python(search), 0) if exactly else (near, search, UNIT_ROUNDOFF)
    compare, find, roundoff = loops
    option, most, unused = option.copy(), options[1].size, 3 - len(resources)
    which, price = np.array([3] * unused + resources), (*price, 0 * price[0])
    real = ([0] * most, [0] * most) if exactly else (np.empty(most), np.empty(most))
    table = np.empty((5, most), np.int64), real, np.empty_like(option)
    for beam in [MOST] if exactly else BEAMS:
        priced = price, which, np.array([0] * unused + [min(limits[r], MOST) for r in resources], np.int64)
        m, gap, best, rounding = compare(options, priced, option, roundoff, table)
        if gap <= 0:
            return option, True, rounding
        ahead = best, gap + MISSED * roundoff * gap, beam // len(resources), budget.left
        for found in find(m, table, priced, *ahead, option):
            proved, work = found
            if budget.is_late():
                break
        budget.left -= work
        if proved or budget.left < 0 or budget.is_late():
            break
    return option, proved, rounding
