"""The trace of `aptsched report --perfetto`: as the Trace Event Format has it, with the phases of the results."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

import results
from commands import call
from trace_events import faults

RIGHT: list[dict[str, Any]] = [
    {"ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": {"name": "run"}},
    {"ph": "M", "pid": 1, "tid": 1, "name": "thread_name", "args": {"name": "request 0"}},
    {"ph": "X", "pid": 1, "tid": 1, "name": "whole", "cat": "request", "ts": 0, "dur": 9},
    {"ph": "X", "pid": 1, "tid": 1, "name": "part", "cat": "request", "ts": 3, "dur": 6},
    {"ph": "C", "pid": 1, "tid": 0, "name": "queue", "ts": 1.5, "args": {"requests": 2}},
    {"ph": "C", "pid": 1, "tid": 0, "name": "queue", "ts": 2.5, "args": {"requests": 0}},
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results.simulated(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def trace(study: Path) -> dict[str, Any]:
    out = study.parent / "trace.json"
    assert call("report", str(study), "--out", str(study.parent / "page.html"), "--perfetto", str(out)) == 0
    read: dict[str, Any] = json.loads(out.read_text())
    return read


def test_it_is_as_the_format_has_it(trace: dict[str, Any]) -> None:
    """Fields, units, nesting, series of counters and names of processes and threads; all three kinds are there."""
    assert faults(trace) == []
    assert {event["ph"] for event in trace["traceEvents"]} == {"M", "X", "C"}


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (0, {"args": {"label": "run"}}),
        (1, {"pid": "1"}),
        (2, {"ts": -1}),
        (2, {"dur": "9"}),
        (3, {"dur": 7}),
        (3, {"ph": "Y"}),
        (3, {"tid": 2}),
        (4, {"args": {"requests": "many"}}),
        (5, {"args": {"others": 1}}),
        (5, {"ts": 1}),
    ],
)
def test_what_breaks_a_rule_of_the_format_is_found(number: int, change: dict[str, Any]) -> None:
    """Each rule that the trace is held to, by a trace that breaks it alone."""
    assert faults({"traceEvents": RIGHT}) == []
    broken = [event | change if at == number else event for at, event in enumerate(RIGHT)]
    assert len(faults({"traceEvents": broken})) == 1


def test_the_trace_has_the_phases_and_the_counters_of_the_results(study: Path, trace: dict[str, Any]) -> None:
    """A process a run, a thread a request, its phases one after the other, and a counter at each point."""
    events, document = trace["traceEvents"], results.document(study)
    names = [event["args"]["name"] for event in events if event["name"] == "process_name"]
    assert names == [f"{s['policy']}, {s['rate_per_s']:g} a second" for s in document["summary"]]
    slices = [event for event in events if event["ph"] == "X"]
    tracks = [list(track) for _, track in groupby(slices, lambda event: (event["pid"], event["tid"]))]
    requests = [request for run in document["phases"] for request in run["requests"]]
    for track, request in zip(tracks, requests, strict=True):
        assert [event["name"] for event in track] == request["phase"]
        assert [event["ts"] for event in track] == pytest.approx([start_s * 1e6 for start_s in request["start_s"]])
        ends = [event["ts"] + event["dur"] for event in track]
        assert ends[:-1] == [event["ts"] for event in track[1:]] and ends[-1] == pytest.approx(request["end_s"] * 1e6)
    queue = [event["args"]["requests"] for event in events if event["name"] == "queue"]
    assert queue == [point[-1] for timeline in document["timelines"] for point in timeline["points"]]
