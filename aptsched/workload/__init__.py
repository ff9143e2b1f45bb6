"""The requests to be served: traces read from files, built-in workloads, and snapshots of a backlogged queue."""

from aptsched.support.exports import TYPE_CHECKING, lazily
from aptsched.workload.snapshot import snapshot, snapshots  # at once: the module has the name of what it exports
from aptsched.workload.synthetic import WORKLOADS, generate
from aptsched.workload.trace import Trace

__all__ = ["WORKLOADS", "Trace", "draw_servegen", "generate", "read_trace", "snapshot", "snapshots"]

if TYPE_CHECKING:
    from aptsched.workload.readers import read_trace
    from aptsched.workload.servegen import draw_servegen
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {"aptsched.workload.readers": ("read_trace",), "aptsched.workload.servegen": ("draw_servegen",)},
    )
