"""What the Trace Event Format asks of a trace (JSON object format), as its description has it. Tests import it by name.

Source: N. Duca and D. Sinclair, "Trace Event Format": times in microseconds; complete events (X) of a thread nest;
counters (C) are numbers, a series each; metadata (M) names processes and threads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]
NAMES = {"process_name": "name", "process_labels": "labels", "thread_name": "name"}  # of metadata, and their argument
NEEDED = {
    "M": ("pid", "name", "args"),
    "X": ("pid", "tid", "name", "cat", "ts", "dur"),
    "C": ("pid", "name", "ts", "args"),
}


def faults(trace: object) -> list[str]:
    """What is not as the format has it, each in a line; empty for a trace that is right."""
    if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list):
        return ["no object with a list of traceEvents"]
    unit = trace.get("displayTimeUnit", "ms")
    found = [] if unit in ("ms", "ns") else [f"displayTimeUnit: {unit!r}"]
    events = trace["traceEvents"]
    found += [f"event {number}: {fault}" for number, event in enumerate(events) for fault in _of_event(event)]
    return found or [*_nesting(events), *_series(events), *_names(events)]


def _of_event(event: object) -> Iterator[str]:
    if not isinstance(event, dict) or event.get("ph") not in NEEDED:
        yield f"no event of a kind that is used here: {event!r}"
        return
    missing = [name for name in NEEDED[event["ph"]] if name not in event]
    if missing:
        yield f"{missing} missing"
        return
    yield from (f"{name} is no whole number" for name in ("pid", "tid") if type(event.get(name, 0)) is not int)
    yield from (f"{name} is no text" for name in ("name", "cat") if not isinstance(event.get(name, ""), str))
    for name in ("ts", "dur"):
        if not (_is_number(event.get(name, 0)) and 0 <= event.get(name, 0) < 2**53):
            yield f"{name}: {event[name]!r} is no number of microseconds"
    if event["ph"] == "C" and not (event["args"] and all(map(_is_number, event["args"].values()))):
        yield f"args: {event['args']!r} are no numbers"
    if event["ph"] == "M" and not isinstance(event["args"].get(NAMES.get(event["name"], "")), str):
        yield f"metadata {event['name']!r} with {event['args']!r}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _nesting(events: list[Event]) -> Iterator[str]:
    """Complete events of a thread that overlap without one being within the other."""
    threads = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            threads[event["pid"], event["tid"]].append(event)
    for place, of_thread in threads.items():
        open_until = list[float]()
        for event in sorted(of_thread, key=lambda event: (event["ts"], -event["dur"])):
            end = event["ts"] + event["dur"]
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            if open_until and end > open_until[-1]:
                yield f"{place}: {event['name']} at {event['ts']} ends after what it begins in"
            open_until.append(end)


def _series(events: list[Event]) -> Iterator[str]:
    """Counters whose series change, or whose time goes back."""
    last = dict[tuple[int, str], Event]()
    for event in events:
        if event["ph"] == "C":
            before = last.setdefault((event["pid"], event["name"]), event)
            if before["args"].keys() != event["args"].keys() or event["ts"] < before["ts"]:
                yield f"counter {event['name']} of {event['pid']} at {event['ts']} does not go on from {before['ts']}"
            last[event["pid"], event["name"]] = event


def _names(events: list[Event]) -> Iterator[str]:
    """Processes and threads without a name, or with two."""
    named = [(event["name"], event["pid"], event.get("tid")) for event in events if event["ph"] == "M"]
    yield from (f"{each} is named twice" for each in set(named) if named.count(each) > 1)
    processes = {pid for name, pid, _ in named if name == "process_name"}
    threads = {(pid, tid) for name, pid, tid in named if name == "thread_name"}
    yield from (f"process {pid} has no name" for pid in {event["pid"] for event in events} - processes)
    used = {(event["pid"], event["tid"]) for event in events if event["ph"] == "X"}
    yield from (f"thread {place} has no name" for place in used - threads)
