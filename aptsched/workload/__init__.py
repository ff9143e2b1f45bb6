"""The requests to be served: traces read from files, built-in workloads, and snapshots of a backlogged queue."""

from aptsched.workload.readers import read_trace
from aptsched.workload.snapshot import snapshot, snapshots
from aptsched.workload.synthetic import WORKLOADS, generate
from aptsched.workload.trace import Trace

__all__ = ["WORKLOADS", "Trace", "generate", "read_trace", "snapshot", "snapshots"]
