"""A trace as it may be given: a file, or the requests themselves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from aptsched.support.errors import InputError
from aptsched.support.plural import how_many
from aptsched.workload.trace import Trace

GivenTrace = str | os.PathLike[str] | Trace | Iterable[Sequence[float]]


def path_or_trace(given: GivenTrace) -> str | Trace:
    """A path as text; requests as a trace.

    Parameters
    ----------
    given : path, Trace, or sequence of (prompt_tokens, output_tokens) or (arrived_at_s, prompt_tokens, output_tokens)

    Raises
    ------
    InputError
        Requests of other than two or three numbers each, or as `Trace` does.
    """
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    if isinstance(given, Trace):
        return given
    try:
        columns = list(zip(*given, strict=True))
    except (TypeError, ValueError):
        columns = []
    if len(columns) not in (2, 3):
        accepted = "a path, a Trace, or requests of 2 or 3 numbers: (arrived_at_s,) prompt_tokens, output_tokens"
        raise InputError(f"trace: a {type(given).__name__} of something else is not accepted; {accepted}, is")
    arrived_at_s = columns[0] if len(columns) == 3 else None
    return Trace(arrived_at_s, *columns[-2:])  # type: ignore[arg-type]  # array-like


def check_origin(trace: str | Trace | None, workload: str | None, seed: int) -> None:
    """Raises InputError unless either a trace or a workload is given, and the seed is one."""
    if (trace is None) == (workload is None):
        given = "neither is given" if trace is None else "both are given"
        raise InputError(f"trace, workload: {given}; one of them is accepted")
    if seed < 0:
        raise InputError(f"seed: {seed} is not accepted; a whole number of at least 0 is")


def read_given(trace: str | Trace, num_requests: int | None = None) -> Trace:
    """The trace itself, or read from its file by `read_trace`; with arrivals, at most `num_requests` requests of it."""
    if not isinstance(trace, Trace):
        from aptsched.workload.readers import read_trace

        return read_trace(trace, num_requests)
    return trace if trace.arrived_at_s is None or num_requests is None else trace.rows(slice(num_requests))


def recorded(trace: str | Trace | None) -> str | None:
    """The trace's name in results: its path, or how many requests were given."""
    return how_many(len(trace), "request") if isinstance(trace, Trace) else trace
