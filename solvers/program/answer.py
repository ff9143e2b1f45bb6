"""Makes a `Solution` of a native solver's answer: checked in whole numbers, certified, and OPTIMAL only if proved."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from aptsched.knapsack.greedy import greedy
from aptsched.knapsack.residual import overload
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.support.checks import Bools, Floats, time_limit
from solvers.program.duals import LinearOptimum, solve_linear
from solvers.program.formulation import Formulation, formulate
from solvers.program.packages import package
from solvers.program.reduction import Part, everything, sharpen
from solvers.proof import chosen_s, proved_bound
from solvers.solution import Solution, Status

FIRST_ROUND_S = 2.0
TOLERANCE = 2.0**-33  # by how much a proof in floats may be wrong, of the values chosen; as much again may be hidden
SHORTEST_S = 1e-3  # a time limit that every solver accepts


@dataclass(frozen=True, eq=False)
class Finding:
    """What a native solver found.

    Attributes
    ----------
    x : float array, [num_columns], or None
        Its incumbent as it reports it; None where it has none.
    proved : bool
        Whether it proved that incumbent optimal, with all its gap tolerances set to 0.
    bound_s : float
        Its bound on the optimum in seconds, made safe for its tolerances; inf where it has none.
    missed_s : float
        By how much, in seconds, a selection can be better than an incumbent proved optimal, due to its tolerances.
    """

    x: Floats | None
    proved: bool
    bound_s: float = math.inf
    missed_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Incumbent:
    """A feasible choice of columns, [num_columns], whether it is proved optimal, and the solver's bound in seconds.

    `missed_s` is by how much, in seconds, a selection can be better than one proved optimal.
    """

    chosen: Bools
    proved: bool
    bound_s: float
    missed_s: float = 0.0


Run = Callable[[Formulation, LinearOptimum, float], Finding]


def answer(run: Run, problem: BatchProblem, time_limit_s: float | None, from_greedy: bool = True) -> Solution:
    """Solve with `run(formulation, relaxation, seconds)` and check what it finds.

    As the relaxation's `chosen`, `run` gets the best selection known so far. Imports do not count as time.

    Raises
    ------
    InputError
        For a time limit that is not above 0, or if SciPy is not installed.
    """
    package("scipy.optimize")
    started_s = time.perf_counter()
    deadline_s = started_s + time_limit(time_limit_s)
    excess = overload(problem)
    if excess is not None:
        seconds = time.perf_counter() - started_s
        return Solution(Status.INFEASIBLE, None, -math.inf, -math.inf, seconds, excess)
    formulation = formulate(problem)
    relaxation = solve_linear(formulation)
    if from_greedy:
        relaxation = replace(relaxation, chosen=_best_start(formulation, relaxation))
    incumbent = _search(run, formulation, relaxation, deadline_s)
    selection = certify(problem, formulation.forms(incumbent.chosen), relaxation.multipliers)
    values_s = max(chosen_s(problem, selection), incumbent.missed_s / TOLERANCE - abs(selection.bound_s))
    bound_s = max(selection.objective_s, min(incumbent.bound_s, selection.bound_s))
    return Solution(
        status=Status.OPTIMAL if incumbent.proved else Status.FEASIBLE,
        selection=selection,
        objective_s=selection.objective_s,
        bound_s=proved_bound(problem, selection, values_s, TOLERANCE) if incumbent.proved else bound_s,
        seconds=time.perf_counter() - started_s,
    )


def _best_start(formulation: Formulation, relaxation: LinearOptimum) -> Bools:
    """The greedy's selection as columns, or the relaxation's where that is worth more."""
    form = greedy(formulation.problem).form
    chosen: Bools = form[formulation.request] == formulation.form
    worse = formulation.is_better(relaxation.chosen, chosen)
    return chosen if not worse and formulation.is_feasible(chosen) else relaxation.chosen


def _search(run: Run, formulation: Formulation, relaxation: LinearOptimum, deadline_s: float) -> Incumbent:
    """Run the solver for 2 s; without a proof, run it again on what is left to decide, each time for twice as long.

    A knapsack that takes a branch and bound minutes often has a core of few requests (`reduction`). A solver that
    stops early without a proof is run again only if less is left to decide.
    """
    part, best = everything(formulation), Incumbent(relaxation.chosen, False, math.inf)
    if _is_wide(formulation):
        part, chosen = sharpen(formulation, relaxation.multipliers, best.chosen)
        best = replace(best, chosen=chosen)
    round_s = FIRST_ROUND_S
    while (left_s := deadline_s - time.perf_counter()) > 0:
        began_s, seconds = time.perf_counter(), min(round_s, max(left_s, SHORTEST_S))
        start = LinearOptimum(best.chosen[part.kept], relaxation.multipliers)
        if part.formulation.num_columns and part.formulation.limits.size:
            finding = run(part.formulation, start, seconds)
        else:
            finding = Finding(part.formulation.most_valuable().astype(np.float64), True)
        best = _better(formulation, part, best, finding)
        if best.proved:
            break
        smaller, chosen = sharpen(formulation, relaxation.multipliers, best.chosen)
        best = replace(best, chosen=chosen)
        stopped_early = time.perf_counter() - began_s < seconds / 2
        if stopped_early and smaller.formulation.num_columns >= part.formulation.num_columns:
            break
        part, round_s = smaller, 2 * round_s
    return best


def _better(formulation: Formulation, part: Part, best: Incumbent, finding: Finding) -> Incumbent:
    """The better of two incumbents, with the lower bound.

    An incumbent that breaks a limit once rounded to whole requests is dropped, with its claim to be optimal. That claim
    is also dropped where tolerances may hide more than twice `TOLERANCE` of the values chosen.
    """
    bound_s = min(best.bound_s, math.nextafter(part.taken_s + finding.bound_s, math.inf))
    chosen: Bools = np.zeros(0, np.bool_) if finding.x is None else part.whole(finding.x) > 0.5
    if finding.x is None or not formulation.is_feasible(chosen):
        return Incumbent(best.chosen, False, bound_s)
    if formulation.is_better(best.chosen, chosen):
        chosen = best.chosen
    tolerated_s = 2 * TOLERANCE * float(np.abs(formulation.value[chosen]).sum())
    return Incumbent(chosen, finding.proved and finding.missed_s <= tolerated_s, bound_s, finding.missed_s)


def _is_wide(formulation: Formulation) -> bool:
    """Whether some values are below the tolerance of others."""
    sizes = np.abs(formulation.value[formulation.value != 0])
    return bool(sizes.min(initial=math.inf) < TOLERANCE * sizes.max(initial=0.0))
