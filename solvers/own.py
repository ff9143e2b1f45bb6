"""A solver of the user's own as a method: every part of its answers is checked, and they are certified anew."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aptsched.knapsack.residual import overload
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.problem.selection import Multipliers, Selection
from aptsched.support import checks
from aptsched.support.checks import Ints
from aptsched.support.errors import InfeasibleError, InputError
from aptsched.support.own_code import blamed, module_of
from aptsched.support.shown import shown
from solvers.solution import Solution, Solver, Status

OwnFunction = Callable[[BatchProblem, float | None], object]  # what it returns is checked
ROUNDING = 1e-9  # relative: a sum of floats may differ from the exact one in its last digits


def own_solver(path: Path, name: str) -> Solver:
    """The function of this name in a file, `solve(problem, time_limit_s) -> Solution` or `Selection`.

    Raises
    ------
    InputError
        There is no such function.
    """
    module = module_of("methods", path)
    found = getattr(module, name, None)
    if not callable(found):
        there = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        names = ", ".join(there) or "nothing"
        raise InputError(f"methods: {path} has no {name!r} that can be called; {names} there can be")

    return checked_solver(f"{path}:{name}", found)


def checked_solver(name: str, function: OwnFunction) -> Solver:
    """A function of the user's own as a solver; messages call it by that name.

    What the function prints goes to stderr, for stdout has our tables and documents. The solver raises InputError
    where the function raises an error, or returns what `checked` refuses.
    """

    def solve(problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
        started_s = time.perf_counter()
        with blamed("methods", name), contextlib.redirect_stdout(sys.stderr):
            answer = _answer(function, problem, time_limit_s)
        seconds = time.perf_counter() - started_s
        try:
            return checked(problem, answer, seconds)
        except InputError as error:
            raise InputError(f"methods: {name} answered wrongly: {error}") from error

    return solve


def _answer(function: OwnFunction, problem: BatchProblem, time_limit_s: float | None) -> object:
    """What the function returns; raising `InfeasibleError`, as `greedy` does, is an answer too."""
    try:
        return function(problem, time_limit_s)
    except InfeasibleError as overload:
        return Solution(Status.INFEASIBLE, None, -math.inf, -math.inf, 0.0, overload)


def checked(problem: BatchProblem, answer: object, seconds: float) -> Solution:
    """The answer as a solution that holds, whatever it claims: objective and certificate are computed anew.

    A `Selection` counts as an answer that is not proved optimal. Two claims of a `Solution` are taken on trust, for no
    certificate proves them: that it is optimal, and a bound below the certified one.

    Raises
    ------
    InputError
        The answer is neither; it breaks a limit or leaves a required request out; its multipliers are no certificate;
        or its objective or bounds are not those of its selection.
    """
    if isinstance(answer, Selection):
        answer = Solution(Status.FEASIBLE, answer, answer.objective_s, answer.bound_s, seconds)
    if not isinstance(answer, Solution) or not isinstance(answer.status, Status):
        raise InputError(f"{_shown(answer)} is not accepted; a Solution or a Selection is")
    excess = overload(problem)
    if (answer.status is Status.INFEASIBLE) != (excess is not None):
        accepted = "feasible or optimal is: the required requests fit" if excess is None else f"infeasible is: {excess}"
        raise InputError(f"status: {answer.status.value} is not accepted; {accepted}")
    if excess is not None:
        return Solution(Status.INFEASIBLE, None, -math.inf, -math.inf, seconds, excess)
    if not isinstance(answer.selection, Selection):
        raise InputError(f"selection: {_shown(answer.selection)} is not accepted; a Selection is")
    given = answer.selection
    found = certify(problem, _form(problem, given.form), _multipliers(problem, given.multipliers))
    if not math.isfinite(found.bound_s):
        raise InputError(f"multipliers: {given.multipliers} prove no finite bound; smaller ones are accepted")
    served = np.flatnonzero(found.form)
    missed_s = ROUNDING * (math.fsum(np.abs(problem.values[served, found.form[served] - 1])) + abs(found.bound_s))
    for name, claim in (("objective_s", answer.objective_s), ("selection.objective_s", given.objective_s)):
        if not abs((value := _number(name, claim)) - found.objective_s) <= missed_s:
            raise InputError(f"{name}: {value} is not accepted; that of the selection, {found.objective_s}, is")
    if _number("selection.bound_s", given.bound_s) < found.bound_s - missed_s:
        proved = f"what the multipliers prove, {found.bound_s}, is"
        raise InputError(f"selection.bound_s: {given.bound_s} is not accepted; {proved}")
    bound_s = math.inf if answer.bound_s == math.inf else _number("bound_s", answer.bound_s)
    if bound_s < found.objective_s - missed_s:
        raise InputError(f"bound_s: {bound_s} is not accepted; at least the objective, {found.objective_s}, is")
    bound_s = max(found.objective_s, min(bound_s, found.bound_s))
    return Solution(answer.status, found, found.objective_s, bound_s, seconds)


def _form(problem: BatchProblem, given: Ints) -> Ints:
    """The forms, [n], checked to be a selection within all limits."""
    form = checks.counts("form", given, (problem.num_requests,))
    if form.max() > problem.num_forms:
        raise InputError(f"form: {form.max()} is not accepted; 0 to {problem.num_forms} are")
    if problem.required is not None and (left_out := np.flatnonzero(problem.required & (form == 0))).size:
        raise InputError(f"form: request {left_out[0]} is required and left out; served in some form is accepted")
    used = certify(problem, form, Multipliers())
    limits = {"capacity": (used.num_blocks, problem.capacity), "max_tokens": (used.num_tokens, problem.max_tokens)}
    limits["max_seqs"] = (used.num_seqs, problem.max_seqs)
    for name, (amount, limit) in limits.items():
        if limit is not None and amount > limit:
            raise InputError(f"form: it uses {amount} of a {name} of {limit}; no more than that is accepted")
    return form


def _multipliers(problem: BatchProblem, given: object) -> Multipliers:
    if not isinstance(given, Multipliers):
        raise InputError(f"multipliers: {_shown(given)} is not accepted; Multipliers are")
    limits = {"per_block_s": problem.capacity, "per_token_s": problem.max_tokens, "per_seq_s": problem.max_seqs}
    for name, limit in limits.items():
        value = _number(f"multipliers.{name}", getattr(given, name))
        if value < 0 or (limit is None and value):
            accepted = "0 is, as nothing limits it" if limit is None else "a number of at least 0 is"
            raise InputError(f"multipliers.{name}: {value} is not accepted; {accepted}")
    return Multipliers(**{name: float(getattr(given, name)) for name in limits})


def _number(field: str, given: object) -> float:
    if not isinstance(given, (int, float, np.integer, np.floating)) or isinstance(given, bool):
        raise InputError(f"{field}: {_shown(given)} is not accepted; a number is")
    value = float(given) if -(2**1023) < given < 2**1023 else math.inf
    if not math.isfinite(value):
        raise InputError(f"{field}: {_shown(given)} is not accepted; a finite number is")
    return value


def _shown(value: object) -> str:
    return shown(value) if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"
