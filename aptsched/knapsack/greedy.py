"""The greedy with a guarantee: Algorithm 1 of Apt-Serve on upper hulls of whole blocks."""

from __future__ import annotations

import math

import numpy as np

from aptsched.knapsack.algorithm1 import algorithm1
from aptsched.knapsack.fill import fill as fill_up
from aptsched.knapsack.fill import room_left
from aptsched.knapsack.relaxation import Relaxation, relax
from aptsched.knapsack.residual import Residual, reduce
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.problem.selection import Multipliers, Selection
from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled

HALF = 0.5  # of a block, which is less than any


def greedy(problem: BatchProblem, fill: bool = True, printed: bool = False) -> Selection:
    """A selection of at least 1 / (D + 1) of the optimum under D limits, with a certificate of how much it misses.

    The LP relaxation's optimum is rounded down; the better of that and the most valuable request that was fractional,
    taken alone, is returned. At most D requests are fractional under D limits, and each is worth no more than the one
    taken alone, so that one of the two is worth at least 1 / (D + 1) of the LP's optimum: half of it with memory alone
    (Apt-Serve, Theorem 1, here for whole blocks, any number of forms and forms that do not fit), a third or a quarter
    with a token budget or a sequence limit or both. A limit does not count that all requests together stay within, or
    that all selections that fit into the blocks stay within.

    Parameters
    ----------
    problem : BatchProblem
    fill : bool
        Afterwards move requests to better forms as long as anything fits; never lowers the objective.
    printed : bool
        Algorithm 1 word for word instead, for comparison (`aptsched.knapsack.algorithm1`): it may exceed the capacity.

    Returns
    -------
    Selection
        Feasible, with the LP's optimal multipliers. With required requests the factor holds for the value above that of
        their lightest forms; where these do not fit, an InfeasibleError with the smallest overload is raised.
    """
    if printed:
        return algorithm1(problem)
    residual, relaxation, option = rounded(problem, fill)
    return certify(problem, residual.forms(option), multipliers(problem, residual, relaxation))


def rounded(problem: BatchProblem, fill: bool, ordered: bool = False) -> tuple[Residual, Relaxation, Ints]:
    """What is left to decide, in the order that depends on data alone if ties ask for one; its LP; and options, [n]."""
    residual = reduce(problem, ordered=ordered)
    relaxation = relax(residual, refill=fill)
    option, tied = better(residual, relaxation, fill)
    if residual.order is None and (tied or relaxation.tied):
        return rounded(problem, fill, ordered=True)
    return residual, relaxation, option


def multipliers(problem: BatchProblem, residual: Residual, relaxation: Relaxation) -> Multipliers:
    """The multipliers that prove the best bound: the relaxation's, if it has all options of the bound."""
    if problem.required is not None or problem.max_seqs == 0:
        residual = reduce(problem, beside=False)
        relaxation = relax(residual)
    per_unit, per_token, per_seq = (price * residual.unit_s for price in relaxation.price)
    return Multipliers(per_unit / residual.unit, per_token, per_seq)


def better(residual: Residual, relaxation: Relaxation, fill: bool) -> tuple[Ints, bool]:
    """The better of the relaxation and its single request, as options, [n]; and whether positions decided a tie."""
    (option, single, price, room, _), tied = relaxation, False
    if fill and (len(residual.gain) > 1 or min(room[1:]) < math.inf):  # else all that fits is taken
        option, tied = fill_up(residual, option, room, price)
    if single is None or not is_below(residual.gain, option, float(residual.gain[single[1] - 1, single[0]])):
        return option, tied
    option = np.zeros_like(option)
    option[single[0]] = single[1]
    if fill:
        blocks, tokens, seqs = room_left(residual, option)
        room = (blocks + HALF, tokens, seqs)  # above 0, so that weightless options are found where memory is full
        option, more_tied = fill_up(residual, option, room, price)
        tied = tied or more_tied
    return option, tied


@compiled
def is_below(gain: Floats, option: Ints, amount: float) -> bool:
    """Whether the options of all requests, [n], together gain less than an amount."""
    total, i = 0.0, 0
    while i < len(option) and total < amount:
        total += gain[option[i] - 1][i] if option[i] > 0 else 0.0
        i += 1
    return total < amount
