"""Checks answers on random instances without end: feasible, within the guarantee, certified, optimal where claimed.

`python -m proofs.fuzz --instances 1000000 --seed 7`; `make fuzz MINUTES=60`. Every eighth batch has numbers at the ends
of what is accepted; `--methods core,cpsat,milp` compares these methods with enumeration on every instance.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from aptsched.knapsack.greedy import greedy
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.instance import to_dict
from aptsched.problem.selection import Selection
from aptsched.support.checks import MAX_COUNT
from aptsched.support.compiled import is_fast
from aptsched.support.errors import InfeasibleError, InputError
from proofs.certificate import check
from proofs.enumeration import Optima, enumerate_all
from proofs.extreme_instances import extreme_batch
from proofs.small_instances import InstanceBatch, random_batch
from solvers.core.exact import TOLERANCE
from solvers.methods import find_method
from solvers.program import answer
from solvers.solution import Status

BATCH = 200
BATCHES = 8  # of so many batches the last one is extreme
EVERY = 8  # of so many instances one is solved by all methods, the others by the greedy, with filling and without
EXACT_TO_2_40 = ("core", "greedy", "greedy-nofill")  # their optima are; those of others to 2**-32
INTERRUPTED = 130


class Violation(AssertionError):
    """A property that does not hold, and the instance."""

    def __init__(self, what: str, problem: BatchProblem) -> None:
        super().__init__(what)
        self.problem = problem


def run(
    seed: Sequence[int],
    num_instances: float = math.inf,
    until_s: float = math.inf,
    methods: Sequence[str] = (),
    extreme: bool = False,
) -> Iterator[int]:
    """Check batches of random instances, and yield how many instances were checked so far.

    Parameters
    ----------
    seed : sequence of int
        The batches depend on it alone.
    num_instances : float
        It ends after so many.
    until_s : float
        No batch is begun after this time of `time.monotonic`.
    methods : sequence of str
        Methods that solve all instances, too; without them the core solves some.
    extreme : bool
        Every batch is one of `extreme_instances`, not every eighth one.

    Raises
    ------
    Violation
        Something does not hold.
    """
    rng, done = np.random.default_rng(seed), 0
    draws = [*[extreme_batch if extreme else random_batch] * (BATCHES - 1), extreme_batch]
    for draw in itertools.cycle(draws):
        if done >= num_instances or time.monotonic() >= until_s:
            return
        batch = draw(rng, int(min(BATCH, num_instances - done)))
        check_batch(batch, methods)
        done += len(batch)
        yield done


def check_batch(batch: InstanceBatch, methods: Sequence[str]) -> None:
    """Check the answers on each instance of a batch against its enumeration; warnings count as errors."""
    optima = enumerate_all(batch)
    for row in range(len(batch)):
        problem = _problem(batch, row)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if problem is not None:
                    check_instance(problem, batch, optima, row, methods)
        except Violation:
            raise
        except Exception as error:
            assert problem is not None
            raise Violation(f"no answer: {error!r}", problem) from error


def _problem(batch: InstanceBatch, row: int) -> BatchProblem | None:
    """The instance; None where it is refused, as it must be if a count is above 2**32."""
    most = max(counted[row].max() for counted in (batch.weights, batch.num_tokens) if counted is not None)
    try:
        problem = batch.problem(row)
    except InputError:
        if most <= MAX_COUNT:
            raise
        return None
    _require(most <= MAX_COUNT, f"{most} blocks or tokens are accepted", problem)
    return problem


def check_instance(
    problem: BatchProblem, batch: InstanceBatch, optima: Optima, row: int, methods: Sequence[str]
) -> None:
    """Check the answers on one instance of a batch against its enumeration."""
    every = row % EVERY == 0 or bool(methods)
    if not optima.feasible[row]:
        _check_overload(problem, tuple(optima.overload[row].tolist()))
        return
    worth = [_check_greedy(problem, batch, optima, row, fill) for fill in ([False, True] if every else [row % 2 == 0])]
    _require(worth == sorted(worth), "filling lowers the objective", problem)
    for name in methods or ("core",) * every:
        _check_method(name, problem, batch, optima, row)


def _check_greedy(problem: BatchProblem, batch: InstanceBatch, optima: Optima, row: int, fill: bool) -> int:
    selection = greedy(problem, fill=fill)
    worth = _check_certificate(problem, selection, batch, optima, row)
    base, factor = int(optima.base[row]), int(optima.num_limits[row]) + 1
    missed = f"fill={fill}: {worth} of {optima.optimum[row]}, {base} of it anyway, is less than 1 / {factor}"
    _require((worth - base) * factor >= int(optima.optimum[row]) - base, missed, problem)
    _require(not fill or not _improves(problem, selection), "a request could be served in a better form", problem)
    return worth


def _check_method(name: str, problem: BatchProblem, batch: InstanceBatch, optima: Optima, row: int) -> None:
    solution, optimum = find_method(name).solve(problem, None), int(optima.optimum[row])
    assert solution.selection is not None
    worth = _check_certificate(problem, solution.selection, batch, optima, row)
    _require(solution.bound_s >= optimum * Fraction(batch.unit), f"{name}: bound {solution.bound_s!r} too low", problem)
    _require(name != "core" or solution.status is Status.OPTIMAL, f"{name} says {solution.status}", problem)
    if solution.status is Status.OPTIMAL:
        chosen = sum(map(abs, _values(batch, row, solution.selection)))
        missed = Fraction(TOLERANCE if name in EXACT_TO_2_40 else 2 * answer.TOLERANCE) * chosen
        if name == "core" and batch.values.dtype == np.int64:  # of few bits, so that no difference is rounded
            missed = Fraction(0)
        _require(optimum - worth <= missed, f"{name} says that {worth} is optimal, and {optimum} is", problem)


def _check_certificate(
    problem: BatchProblem, selection: Selection, batch: InstanceBatch, optima: Optima, row: int
) -> int:
    """Check that the certificate holds, and return the objective in units of the batch."""
    certificate = check(problem, selection)
    _require(certificate.holds, "; ".join(certificate.reasons), problem)
    optimum = int(optima.optimum[row]) * Fraction(batch.unit)
    _require(certificate.bound is not None and certificate.bound >= optimum, "the bound is below the optimum", problem)
    return sum(_values(batch, row, selection))


def _values(batch: InstanceBatch, row: int, selection: Selection) -> list[int]:
    """The values chosen, in units of the batch."""
    values = batch.values[row].tolist()
    return [values[i][form - 1] for i, form in enumerate(selection.form.tolist()) if form]


def _check_overload(problem: BatchProblem, overload: tuple[int, ...]) -> None:
    try:
        found = f"an answer worth {greedy(problem).objective_s!r}"
    except InfeasibleError as error:
        if (error.num_blocks, error.num_tokens, error.num_seqs) == overload:
            return
        found = f"an overload of {(error.num_blocks, error.num_tokens, error.num_seqs)}"
    raise Violation(f"the required requests do not fit, by {overload}: {found} is wrong", problem)


def _improves(problem: BatchProblem, selection: Selection) -> bool:
    """Whether one request alone could move to a form that is worth more, by more than rounding."""
    least = 2.0**-50 * float(np.abs(problem.values).max())
    tokens = [0] * problem.num_requests if problem.num_tokens is None else problem.num_tokens.tolist()
    free = problem.capacity - selection.num_blocks
    spare = math.inf if problem.max_tokens is None else problem.max_tokens - selection.num_tokens
    more = problem.max_seqs is None or problem.max_seqs > selection.num_seqs
    rows = zip(problem.values.tolist(), problem.weights.tolist(), tokens, selection.form.tolist(), strict=True)
    return any(
        value > (values[now - 1] if now else 0) + least
        and weight <= free + (weights[now - 1] if now else 0)
        and (now > 0 or (more and num_tokens <= spare))
        for values, weights, num_tokens, now in rows
        for value, weight in zip(values, weights, strict=True)
    )


def _require(holds: bool, what: str, problem: BatchProblem) -> None:
    if not holds:
        raise Violation(what, problem)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the count or the time is reached; print the count and the rate; return 1 where a check fails."""
    parser = argparse.ArgumentParser(prog="python -m proofs.fuzz", description=__doc__)
    extent = parser.add_mutually_exclusive_group(required=True)
    extent.add_argument("--instances", type=int, metavar="N", help="how many")
    extent.add_argument("--minutes", type=float, metavar="M", help="how long")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same instances (default 0)")
    parser.add_argument("--methods", default="", metavar="M,M", help="solve all by these, too, not some by the core")
    parser.add_argument("--extreme", action="store_true", help="numbers at the ends of what is accepted, all of them")
    given = parser.parse_args(arguments)
    methods = [find_method(name).name for name in given.methods.split(",") if name]
    started_s = time.monotonic()
    until_s = math.inf if given.minutes is None else started_s + 60 * given.minutes
    done, code = 0, 0
    try:
        limit = math.inf if given.instances is None else given.instances
        for done in run([given.seed], limit, until_s, methods, given.extreme):
            if sys.stderr.isatty():
                print(f"\r{done:,} instances", end="", file=sys.stderr)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Violation as violation:
        print(f"violation: {violation}\n{json.dumps(to_dict(violation.problem))}")
        code = 1
    seconds = max(time.monotonic() - started_s, 1e-9)
    found, way = "a violation" if code == 1 else "no violation", "compiled" if is_fast() else "in plain Python"
    print(f"{done:,} instances, {found}, {done / seconds:,.0f} a second, seed {given.seed}, {way}")
    return code


if __name__ == "__main__":
    sys.exit(main())
