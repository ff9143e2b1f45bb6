"""The methods by name, as `--method` and `--methods` accept them, and the guarantee of each."""

from __future__ import annotations

import importlib
import math
import time
from dataclasses import dataclass
from pathlib import Path

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.errors import InfeasibleError, InputError
from aptsched.support.own_code import OWN
from solvers.solution import Solution, Solver, Status


@dataclass(frozen=True)
class Method:
    """A solver by name.

    Attributes
    ----------
    name : str
    promise : str
        The guarantee; "{d+1}" stands for one more than the number of shared limits.
    solve : Solver
        Imports the packages that it needs when it is called, not before.
    """

    name: str
    promise: str
    solve: Solver

    def guarantee(self, problem: BatchProblem) -> str:
        """The guarantee on this problem: a share of the optimum, "exact" (given time), "bound" (alone) or "none"."""
        num_limits = 1 + (problem.max_tokens is not None) + (problem.max_seqs is not None)
        return self.promise.replace("{d+1}", str(num_limits + 1))


def find_method(name: str) -> Method:
    """The method of this name; `path.py:function` is a solver of one's own (`own_solver`).

    Raises
    ------
    InputError
        There is no such method; the message lists those there are.
    """
    own = OWN.fullmatch(name)
    if own:
        from solvers.own import own_solver

        return Method(name, "none", own_solver(Path(own["path"]), own["name"]))
    method = METHODS.get(ALIASES.get(name, name))
    if method is None:
        raise InputError(f"method: {name!r} is not known; {', '.join([*METHODS, *ALIASES])} are, and path.py:function")
    return method


def _greedy(**options: bool) -> Solver:
    def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
        from aptsched.knapsack.greedy import greedy

        started = time.perf_counter()
        try:
            selection = greedy(problem, **options)
        except InfeasibleError as overload:
            seconds = time.perf_counter() - started
            return Solution(Status.INFEASIBLE, None, -math.inf, -math.inf, seconds, overload)
        proved = selection.bound_s <= selection.objective_s and selection.num_blocks <= problem.capacity
        status = Status.OPTIMAL if proved else Status.FEASIBLE
        seconds = time.perf_counter() - started
        return Solution(status, selection, selection.objective_s, selection.bound_s, seconds)

    return solve


def _solver(module: str, **options: str) -> Solver:
    def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
        solution: Solution = importlib.import_module(f"solvers.{module}").solve(problem, time_limit_s, **options)
        return solution

    return solve


METHODS = {
    method.name: method
    for method in (
        Method("greedy", "1/{d+1}", _greedy()),
        Method("greedy-nofill", "1/{d+1}", _greedy(fill=False)),
        Method("algorithm1", "none", _greedy(printed=True)),
        Method("core", "exact", _solver("core")),
        Method("cpsat", "exact", _solver("cpsat")),
        Method("mathopt-scip", "exact", _solver("mathopt", backend="scip")),
        Method("mathopt-highs", "exact", _solver("mathopt", backend="highs")),
        Method("pulp-cbc", "exact", _solver("pulp", backend="cbc")),
        Method("pulp-highs", "exact", _solver("pulp", backend="highs")),
        Method("milp", "exact", _solver("milp")),
        Method("lp", "bound", _solver("lp")),
    )
}
ALIASES = {"mathopt": "mathopt-scip", "pulp": "pulp-cbc"}
