"""The online methods that worst cases are searched for, by name, each a function from a problem to forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aptsched.knapsack.greedy import greedy
from aptsched.knapsack.relaxation import relax
from aptsched.knapsack.residual import reduce
from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.checks import Ints


@dataclass(frozen=True)
class Online:
    """A method and the instances it is searched on.

    Attributes
    ----------
    name : str
    factor : int or None
        The proved factor: optimum / answer is at most this. None where there is none.
    answer : callable
        The form of each request, [n].
    definition_1 : bool
        Whether instances have two forms, KV of an even number of blocks and hidden of half; else one or two forms.
    side_limits : int
        How many limits there are besides memory: first a sequence limit, then a token budget.
    """

    name: str
    factor: int | None
    answer: Callable[[BatchProblem], Ints]
    definition_1: bool = False
    side_limits: int = 0


def without_fallback(problem: BatchProblem) -> Ints:
    """The greedy without its fallback: the LP's optimum rounded down; with memory alone, a prefix of the increments."""
    residual = reduce(problem)
    return residual.forms(relax(residual).option)


def fcfs(problem: BatchProblem) -> Ints:
    """First come, first served: by falling pending time, with a KV cache, up to the first that does not fit."""
    order = np.argsort(-problem.values[:, 0], kind="stable")
    fitting = int(np.searchsorted(np.cumsum(problem.weights[order, 0]), problem.capacity, side="right"))
    form = np.zeros(len(order), np.int64)
    form[order[:fitting]] = 1
    return form


def skip_filling(problem: BatchProblem) -> Ints:
    """Serve by falling value, each request in its most valuable form that fits; one that does not fit is skipped."""
    form, free = np.zeros(problem.num_requests, np.int64), problem.capacity
    for i in np.argsort(-problem.values.max(axis=1), kind="stable").tolist():
        fits = (problem.weights[i] <= free) & (problem.values[i] > 0)
        if fits.any():
            form[i] = int(np.where(fits, problem.values[i], -np.inf).argmax()) + 1
            free -= int(problem.weights[i, form[i] - 1])
    return form


ONLINE = (
    Online("greedy", 2, lambda problem: greedy(problem).form),
    Online("greedy-nofill", 2, lambda problem: greedy(problem, fill=False).form),
    Online("greedy-nofallback", None, without_fallback),
    Online("greedy-2-limits", 3, lambda problem: greedy(problem).form, side_limits=1),
    Online("greedy-nofill-2-limits", 3, lambda problem: greedy(problem, fill=False).form, side_limits=1),
    Online("greedy-3-limits", 4, lambda problem: greedy(problem).form, side_limits=2),
    Online("greedy-nofill-3-limits", 4, lambda problem: greedy(problem, fill=False).form, side_limits=2),
    Online("algorithm1", 2, lambda problem: greedy(problem, printed=True).form, definition_1=True),
    Online("fcfs", None, fcfs, definition_1=True),
    Online("skip-filling", None, skip_filling, definition_1=True),
)
