"""The instances of the gap study: snapshots of a trace, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from aptsched.scheduling.forms import unused_hidden
from aptsched.support import checks
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from aptsched.workload import Trace, generate
from aptsched.workload.backlogged import CV, RATE_PER_S, queue
from aptsched.workload.given import check_origin, read_given
from aptsched.workload.snapshot import ProblemOptions, problem_of
from solvers.study.method_runs import Instance
from solvers.study.repeats import Repeats

MAX_REQUESTS, MAX_INSTANCES = 1_000_000, 100_000
MAX_IN_ALL = 20_000_000  # requests of all instances together, which are all in memory
TRACE_LENGTH = 10_000  # requests of a built-in workload; more for queues of more than a quarter of it


@dataclass(frozen=True)
class SnapshotSource:
    """The trace or workload that snapshots are cut from, and how.

    Attributes
    ----------
    trace : str, Trace or None
        A trace file, or the requests themselves.
    workload : str or None
        The name of a built-in workload, in place of a trace.
    rate_per_s, cv : float or None
        Arrivals of a workload, or of a trace that has lengths alone; None for the default.
    seed : int
    options : ProblemOptions
        Keywords of `problem_of`.
    """

    trace: str | Trace | None = None
    workload: str | None = None
    rate_per_s: float | None = None
    cv: float | None = None
    seed: int = 0
    options: ProblemOptions = field(default_factory=ProblemOptions)

    def __post_init__(self) -> None:
        check_origin(self.trace, self.workload, self.seed)

    @property
    def arrivals(self) -> tuple[float, float]:
        """Requests a second, and the coefficient of variation of their gaps, where a trace has none of its own."""
        rate_per_s = RATE_PER_S if self.rate_per_s is None else self.rate_per_s
        return rate_per_s, CV if self.cv is None else self.cv

    @property
    def name(self) -> str:
        """The first part of the instances' names."""
        return self.workload or "trace"


@dataclass(frozen=True)
class Backlog:
    """Instances, and notices: a line for each thing in their trace that was not used, repeated or assumed."""

    instances: Sequence[Instance]
    notices: tuple[str, ...]


def cut(source: SnapshotSource, sizes: Sequence[int], loads: Sequence[float], num_instances: int) -> Backlog:
    """Cut `num_instances` snapshots for each size and load; the same queues at every load.

    Instance j of size n depends on the source, n and j alone, whatever else is asked for.

    Raises
    ------
    InputError
        A bad trace, or an option out of range.
    """
    _check_number(sizes, loads, num_instances)
    read = None if source.trace is None else read_given(source.trace)
    notices = [] if read is None else [*read.notices, *_arrivals(source, read)]
    rate_per_s, cv = source.arrivals
    cuts, repeats = [], Repeats()
    for n in sizes:
        trace = _generated(source, n) if read is None else read
        generators = (np.random.default_rng([source.seed, n, j]) for j in range(num_instances))
        queues = [queue(trace, n, rng, rate_per_s, cv) for rng in generators]
        repeats.add(trace, queues)
        cuts += [
            Instance(id_of(source.name, n, load, j), load, problem_of(queues[j], load, **source.options))
            for load in loads
            for j in range(num_instances)
        ]
    ratio = checks.ratio("hidden_ratio", source.options.get("hidden_ratio", Fraction(1, 2)))
    return Backlog(cuts, (*notices, *repeats.notices(source.workload or "the trace"), *unused_hidden(ratio)))


def id_of(name: str, num_requests: int, load: float, number: int) -> str:
    """The name of an instance, unique in a study."""
    short = f"{load:g}"
    return f"{name}-n{num_requests}-load{short if float(short) == load else repr(load)}-{number}"


def _check_number(sizes: Sequence[int], loads: Sequence[float], num_instances: int) -> None:
    given = [("instances", num_instances, MAX_INSTANCES), *(("num_requests", n, MAX_REQUESTS) for n in sizes)]
    for name, number, most in given:
        if not 1 <= number <= most:
            raise InputError(f"{name}: {shown(number)} is not accepted; a whole number from 1 to {most} is")
    in_all = sum(sizes) * len(loads) * num_instances
    if in_all > MAX_IN_ALL:
        raise InputError(f"num_requests, load, instances: {in_all} requests are too many; {MAX_IN_ALL} are accepted")


def _generated(source: SnapshotSource, num_requests: int) -> Trace:
    assert source.workload is not None
    rng = np.random.default_rng(source.seed)
    return generate(source.workload, max(TRACE_LENGTH, 4 * num_requests), rng, source.rate_per_s, source.cv)


def _arrivals(source: SnapshotSource, trace: Trace) -> list[str]:
    """Notices about the arrivals of a trace; raises InputError where it has some and others are asked for."""
    given = {"rate_per_s": source.rate_per_s, "cv": source.cv}
    asked = [name for name, value in given.items() if value is not None]
    if trace.arrived_at_s is None:
        rate_per_s, cv = source.arrivals
        drawn = f"drawn by the seed, {rate_per_s:g} a second (coefficient of variation {cv:g})"
        return [f"The trace has lengths alone: arrivals are {drawn}."]
    if asked:
        raise InputError(f"{', '.join(asked)}: the trace has arrivals; nothing is accepted here")
    return []
