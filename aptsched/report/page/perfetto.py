"""Runs as a trace in the Trace Event Format (JSON), which Perfetto and Chrome open.

A process for each run, a thread for each request with its phases as complete events, and counters. Times are in
microseconds of the run's own clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aptsched.report.page.gantt import spans
from aptsched.report.page.stored import StoredRun

DIGITS = 3  # of microseconds: a viewer counts nanoseconds
Event = dict[str, Any]


def trace(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """The trace: `traceEvents`, and the unit in which a viewer shows times."""
    events = [event for process, run in enumerate(runs, 1) for event in _of_run(process, run)]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _of_run(process: int, run: StoredRun) -> Iterator[Event]:
    yield {"ph": "M", "pid": process, "tid": 0, "name": "process_name", "args": {"name": run.name}}
    for thread, request in enumerate(run.phases, 1):
        name = f"request {request['request_id']}"
        yield {"ph": "M", "pid": process, "tid": thread, "name": "thread_name", "args": {"name": name}}
        for phase, start_s, end_s in spans(request):
            start, end = _microseconds(start_s), _microseconds(end_s)
            times = {"ts": start, "dur": round(end - start, DIGITS)}
            yield {"ph": "X", "pid": process, "tid": thread, "name": phase, "cat": "request", **times}
    yield from _counters(process, run)


def _counters(process: int, run: StoredRun) -> Iterator[Event]:
    forms, timeline = run.forms, run.timeline
    for point, gap in zip(timeline["points"], timeline["gap"], strict=True):
        start_s, _, *held, waiting = point
        counters: dict[str, dict[str, float]] = {
            "memory, blocks": dict(zip(forms, held, strict=True)),
            "queue": {"requests": waiting},
        }
        if gap is not None:
            counters["certified gap"] = {"share": gap}
        for name, args in counters.items():
            yield {"ph": "C", "pid": process, "tid": 0, "ts": _microseconds(start_s), "name": name, "args": args}


def _microseconds(seconds: float) -> float:
    return round(seconds * 1e6, DIGITS)
