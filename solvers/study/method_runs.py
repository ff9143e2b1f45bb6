"""The gap study: how far each method's batch is from the optimum, instance by instance."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from aptsched.knapsack.warm_up import examples
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.instance import digest
from aptsched.problem.selection import Multipliers, Selection
from aptsched.support.compiled import is_fast
from aptsched.support.errors import InputError
from solvers.methods import METHODS, Method
from solvers.solution import Solution, Status

EXCEEDS = "exceeds"
TOLERANCE = 1e-9  # relative: solvers that work in floats agree to this, not to the last bit
CALLS, LONG_S = 3, 1.0  # calls of each method, unless one takes longer than that


@dataclass(frozen=True, eq=False)
class Instance:
    """A problem of the study; `load` is None where it is not known."""

    id: str
    load: float | None
    problem: BatchProblem


@dataclass(frozen=True)
class Record:
    """The answer of one method on one instance.

    Attributes
    ----------
    instance : str
    num_requests : int
    load : float or None
    method, guarantee : str
    sha256 : str
        Digest of the problem.
    status : str
        "optimal" only where the method proved it; "feasible"; "infeasible", with None in all fields after `seconds`
        but `overload`; "exceeds" for a selection that breaks a limit, as Algorithm 1 as printed can, and has no gaps.
    seconds : float
        Wall-clock time of the fastest call.
    objective_s, bound_s : float or None
        The exact objective, and the best bound on the optimum that the method knows (its own or its certificate's).
    certified_bound_s, certified_gap : float or None
        The bound that the multipliers prove, and the gap to it; anybody can check them.
    optimum_gap : float or None
        (optimum - objective) / max(|optimum|, |objective|); None unless some method of the run proved the optimum.
    num_blocks, num_tokens, num_seqs : int or None
    form : tuple of int, or None
        [n], as in `Selection`.
    multipliers : Multipliers or None
    overload : tuple of int, or None
        Where infeasible: the smallest overload in blocks, tokens and sequences.
    num_calls : int
        How often the method was called; the answer is that of the first call.
    median_call_s : float or None
        Median seconds of all calls, where there were several.
    """

    instance: str
    num_requests: int
    load: float | None
    method: str
    guarantee: str
    sha256: str
    status: str
    seconds: float
    objective_s: float | None = None
    bound_s: float | None = None
    certified_bound_s: float | None = None
    certified_gap: float | None = None
    optimum_gap: float | None = None
    num_blocks: int | None = None
    num_tokens: int | None = None
    num_seqs: int | None = None
    form: tuple[int, ...] | None = None
    multipliers: Multipliers | None = None
    overload: tuple[int, int, int] | None = None
    num_calls: int = 1
    median_call_s: float | None = None


def run(
    instances: Iterable[Instance],
    methods: Sequence[Method],
    time_limit_s: float | None = None,
    proceed: Callable[[Instance, Method], bool] = lambda instance, method: True,
    clock: Callable[[], float] = time.perf_counter,
    num_calls: int = CALLS,
) -> Iterator[tuple[Record, ...]]:
    """Solve each instance with every method, and yield its records, one a method.

    Parameters
    ----------
    instances : iterable of Instance
    methods : sequence of Method
    time_limit_s : float, optional
        Limit of each solve.
    proceed : callable
        Called before each solve; if it says False, the study ends without the instance that was begun.
    clock : callable
        Seconds.
    num_calls : int
        How often each method is timed on each instance, but for one that takes more than `LONG_S`.

    Raises
    ------
    InputError
        A method does not accept the problem or the time limit, or needs a package that is not installed.
    """
    for instance in instances:
        records = []
        for method in methods:
            if not proceed(instance, method):
                return
            records.append(_record(instance, method, *_timed(method, instance.problem, time_limit_s, clock, num_calls)))
        yield _with_optimum(records)


def warm_up(methods: Iterable[Method], problem: BatchProblem, time_limit_s: float | None = None) -> None:
    """Call each method on a tiny problem with the limits of this one: its imports shall not count as its time.

    Nor shall the compiling of its loops: `greedy` and `core` are called on problems that need all of them.

    Raises
    ------
    InputError
        As `run`, before any time is spent.
    """
    tiny = BatchProblem.hybrid(
        pending_s=[1.0, 2.0, 3.0, 5.0],
        num_blocks=[2, 3, 4, 5],
        capacity=7,
        penalty_s_per_block=0.1,
        num_tokens=[20, 30, 40, 50],
        max_tokens=None if problem.max_tokens is None else 85,
        max_seqs=None if problem.max_seqs is None else 2,
    )
    for method in methods:
        try:
            method.solve(tiny, time_limit_s)
        except InputError as error:
            raise InputError(f"{error} (on four requests that every method is tried on first)") from error
        if is_fast() and method in (METHODS["greedy"], METHODS["core"]):
            for example in examples():
                method.solve(example)


def optimum(records: Iterable[Record]) -> float | None:
    """The optimum of one instance: the best objective that was proved optimal; None where none was."""
    proved = [record.objective_s for record in records if record.status == Status.OPTIMAL.value]
    return max((objective for objective in proved if objective is not None), default=None)


def keeps_limits(problem: BatchProblem, selection: Selection) -> bool:
    """Whether the selection stays within capacity, token budget and sequence limit."""
    used = (selection.num_blocks, selection.num_tokens, selection.num_seqs)
    limits = (problem.capacity, problem.max_tokens, problem.max_seqs)
    return all(limit is None or use <= limit for use, limit in zip(used, limits, strict=True))


def contradiction(records: Sequence[Record]) -> str | None:
    """A line if answers on one instance contradict each other by more than 1e-9: every two intervals must overlap."""
    objectives = [(r.objective_s, r.method) for r in records if r.objective_s is not None and r.status != EXCEEDS]
    bounds = [(r.bound_s, r.method) for r in records if r.bound_s is not None]
    if bounds and any(record.status == Status.INFEASIBLE.value for record in records):
        return f"{records[0].instance}: infeasible to some methods, feasible to others"
    if not objectives:
        return None
    (best_s, best), (lowest_s, lowest) = max(objectives), min(bounds)
    if best_s - lowest_s <= TOLERANCE * max(abs(best_s), abs(lowest_s)):
        return None
    return f"{records[0].instance}: {best} has {best_s!r} s, but {lowest} says that {lowest_s!r} s cannot be exceeded"


def _timed(
    method: Method, problem: BatchProblem, time_limit_s: float | None, clock: Callable[[], float], num_calls: int
) -> tuple[Solution, list[float]]:
    """The answer of the first call, and the seconds of each."""
    started_s = clock()
    solution = method.solve(problem, time_limit_s)
    taken_s = [clock() - started_s]
    while len(taken_s) < num_calls and max(taken_s) <= LONG_S:
        started_s = clock()
        method.solve(problem, time_limit_s)
        taken_s.append(clock() - started_s)
    return solution, taken_s


def _record(instance: Instance, method: Method, solution: Solution, taken_s: Sequence[float]) -> Record:
    record = Record(
        instance=instance.id,
        num_requests=instance.problem.num_requests,
        load=instance.load,
        method=method.name,
        guarantee=method.guarantee(instance.problem),
        sha256=digest(instance.problem),
        status=solution.status.value,
        seconds=min(taken_s),
        num_calls=len(taken_s),
        median_call_s=statistics.median(taken_s) if len(taken_s) > 1 else None,
    )
    selection = solution.selection
    if selection is None:
        if (over := solution.overload) is None:
            return record
        return replace(record, overload=(over.num_blocks, over.num_tokens, over.num_seqs))
    kept = keeps_limits(instance.problem, selection)
    return replace(
        record,
        status=solution.status.value if kept else EXCEEDS,
        objective_s=solution.objective_s,
        bound_s=solution.bound_s,
        certified_bound_s=selection.bound_s,
        certified_gap=selection.gap if kept else None,
        num_blocks=selection.num_blocks,
        num_tokens=selection.num_tokens,
        num_seqs=selection.num_seqs,
        form=tuple(selection.form.tolist()),
        multipliers=selection.multipliers,
    )


def _with_optimum(records: Sequence[Record]) -> tuple[Record, ...]:
    best = optimum(records)
    if best is None:
        return tuple(records)
    return tuple(
        replace(record, optimum_gap=_gap(best, record.objective_s))
        if record.objective_s is not None and record.status != EXCEEDS
        else record
        for record in records
    )


def _gap(best_s: float, objective_s: float) -> float:
    scale = max(abs(best_s), abs(objective_s))
    return max(0.0, best_s - objective_s) / scale if scale else 0.0
