"""The optimum where floats cannot tell selections apart: dynamic programming in whole numbers over what is left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aptsched.knapsack.residual import Residual
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import chosen_values
from aptsched.support.checks import Ints
from solvers.core.alternatives import Alternatives, Pricing
from solvers.core.budget import Budget

PER_SECOND = 2**1074  # every float is a whole multiple of a second by this
MOST_WORK = 200_000  # states, some tenths of a second


class Partial(NamedTuple):
    """The best way found for the first few requests to take certain amounts: worth, loss and alternatives chosen."""

    worth: int
    loss: float
    chosen: tuple[int, ...]


def best_exactly(
    problem: BatchProblem, residual: Residual, pricing: Pricing, option: Ints, budget: Budget
) -> tuple[Ints, bool]:
    """The better of a feasible selection, options [n], and the best one found, and whether it is proved optimal.

    An option whose loss exceeds the gap by more than rounding is in no better selection. All combinations of the
    other options are compared by the exact values of the problem; of those that take the same only the best is kept.
    """
    allowed = pricing.allowance(pricing.worth(option))
    alternatives = pricing.near(allowed)
    work = Budget(None, MOST_WORK)
    more = _worth_more(problem, residual, pricing.star, alternatives)
    states: dict[tuple[int, ...], Partial] = {(0,) * len(pricing.slack): Partial(0, 0.0, ())}
    ceilings = _ceilings(alternatives, pricing.slack)
    for stage, ceiling in zip(alternatives.stages(), ceilings, strict=True):
        if not work.spend(len(states) * (stage.stop - stage.start)) or budget.spent:
            return option, False
        states = _after(states, alternatives, more, stage, ceiling, allowed)
    complete = [state for take, state in states.items() if all(map(int.__le__, take, pricing.slack))]
    if complete:
        best = max(complete, key=lambda state: state.worth)
        changed = pricing.changed(alternatives, np.array(best.chosen, np.int64))
        if exact_worth(problem, residual.forms(changed)) > exact_worth(problem, residual.forms(option)):
            return changed, True
    return option, True


def exact_worth(problem: BatchProblem, form: Ints) -> int:
    """The value of forms, [n], in units of 2**-1074 seconds."""
    return sum(map(_whole, chosen_values(problem, form).tolist()))


def _whole(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator * (PER_SECOND // denominator)


def _worth_more(problem: BatchProblem, residual: Residual, star: Ints, alternatives: Alternatives) -> list[int]:
    """How much each alternative is worth more than the LP's option of its request, exactly."""
    request = alternatives.request
    row = np.arange(problem.num_requests)[residual.rows][request]
    base = 0 if residual.base is None else residual.base[request]
    values = np.insert(problem.values, 0, 0.0, axis=1)

    def worth(option: Ints) -> list[int]:
        form = np.where(option > 0, option + residual.skipped, base)
        return [*map(_whole, values[row, form].tolist())]

    return [new - old for new, old in zip(worth(alternatives.option), worth(star[request]), strict=True)]


def _ceilings(alternatives: Alternatives, slack: list[int]) -> list[list[int]]:
    """The most that a state may have taken of each resource after each request, for later ones give back no more."""
    if not len(alternatives.request):
        return []
    least = np.minimum(np.minimum.reduceat(alternatives.take, alternatives.starts, axis=1), 0)
    later = least.sum(axis=1, keepdims=True) - least.cumsum(axis=1)
    ceilings: list[list[int]] = (np.array(slack)[:, None] - later).T.tolist()
    return ceilings


def _after(
    states: dict[tuple[int, ...], Partial],
    alternatives: Alternatives,
    more: list[int],
    stage: slice,
    ceiling: list[int],
    allowed: float,
) -> dict[tuple[int, ...], Partial]:
    """The states after one more request that can still lead to a better selection; it may keep the LP's option."""
    after = {take: state for take, state in states.items() if all(map(int.__le__, take, ceiling))}
    takes, losses = alternatives.take[:, stage].T.tolist(), alternatives.loss[stage].tolist()
    for position, extra, loss in zip(range(stage.start, stage.stop), takes, losses, strict=True):
        for before, state in states.items():
            take = tuple(map(int.__add__, before, extra))
            new = Partial(state.worth + more[position], state.loss + loss, (*state.chosen, position))
            alive = new.loss <= allowed and all(map(int.__le__, take, ceiling))
            if alive and (take not in after or after[take].worth < new.worth):
                after[take] = new
    return after
