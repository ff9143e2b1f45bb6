"""The instances of the gap study: snapshots of a trace, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from aptsched.errors import InputError
from aptsched.workload import Trace, generate, read_trace, snapshot
from aptsched.workload.snapshot import SnapshotOptions
from solvers.gap import Instance

MAX_REQUESTS, MAX_INSTANCES = 1_000_000, 100_000
TRACE_LENGTH = 10_000  # of a built-in workload; longer for queues of more than a quarter of it


@dataclass(frozen=True)
class Source:
    """Where snapshots come from.

    Attributes
    ----------
    trace, workload : str or None
        A trace file, or the name of a built-in workload: one of the two.
    rate_per_s, cv : float or None
        Arrivals of a workload, or of a trace that has lengths alone; None for the default.
    seed : int
    options : SnapshotOptions
        Other keywords of `snapshot`.
    """

    trace: str | None = None
    workload: str | None = None
    rate_per_s: float | None = None
    cv: float | None = None
    seed: int = 0
    options: SnapshotOptions = field(default_factory=SnapshotOptions)

    def __post_init__(self) -> None:
        if (self.trace is None) == (self.workload is None):
            given = "neither is given" if self.trace is None else "both are given"
            raise InputError(f"trace, workload: {given}; one of them is accepted")
        if self.seed < 0:
            raise InputError(f"seed: {self.seed} is not accepted; a whole number of at least 0 is")

    @property
    def name(self) -> str:
        """What the instances are called after."""
        return self.workload or "trace"


@dataclass(frozen=True)
class Backlog:
    """Instances, and a line each on what of their trace was not used, repeated, or taken for something."""

    instances: Sequence[Instance]
    notices: tuple[str, ...]


def cut(source: Source, sizes: Sequence[int], loads: Sequence[float], num_instances: int) -> Backlog:
    """Cut `num_instances` snapshots for each size and load; the same queues at every load.

    Instance j of size n depends on the source, n and j alone, whatever else is asked for.

    Raises
    ------
    InputError
        A bad trace, or an option out of range.
    """
    given = [("instances", num_instances, MAX_INSTANCES), *(("num_requests", n, MAX_REQUESTS) for n in sizes)]
    for name, number, most in given:
        if not 1 <= number <= most:
            raise InputError(f"{name}: {number} is not accepted; a whole number from 1 to {most} is")
    read = None if source.trace is None else read_trace(source.trace)
    options = source.options if read is None else {**source.options, **_arrivals(source, read)}
    cuts = []
    for n in sizes:
        trace = _generated(source, n) if read is None else read
        for load in loads:
            for j in range(num_instances):
                rng = np.random.default_rng([source.seed, n, j])
                problem = snapshot(trace, n, load, rng, **options)
                cuts.append(Instance(id_of(source.name, n, load, j), load, problem))
    return Backlog(cuts, () if read is None else read.notices)


def id_of(name: str, num_requests: int, load: float, number: int) -> str:
    """What an instance is called; no two of a study are called the same."""
    short = f"{load:g}"
    return f"{name}-n{num_requests}-load{short if float(short) == load else repr(load)}-{number}"


def _generated(source: Source, num_requests: int) -> Trace:
    assert source.workload is not None
    rng = np.random.default_rng(source.seed)
    return generate(source.workload, max(TRACE_LENGTH, 4 * num_requests), rng, source.rate_per_s, source.cv)


def _arrivals(source: Source, trace: Trace) -> SnapshotOptions:
    given: SnapshotOptions = {}
    if source.rate_per_s is not None:
        given["rate_per_s"] = source.rate_per_s
    if source.cv is not None:
        given["cv"] = source.cv
    if given and trace.arrived_at_s is not None:
        raise InputError(f"{', '.join(given)}: the trace has arrivals; nothing is accepted here")
    return given
