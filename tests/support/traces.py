"""Arrivals of traces that have them."""

from __future__ import annotations

from aptsched.support.checks import Floats
from aptsched.workload import Trace


def arrivals(trace: Trace) -> Floats:
    """Seconds, [r]; a trace without arrivals fails the test."""
    assert trace.arrived_at_s is not None
    return trace.arrived_at_s
