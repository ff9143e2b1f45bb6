"""What the plug-in says of its decisions: figures for Prometheus, and certificates as a file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from aptsched.metrics.latencies import latencies
from aptsched.problem import certificate_log
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.errors import InputError
from engine.vllm.settings import Settings

SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1.0)  # buckets of decision times


class Figures:
    """Counts of what was decided and of how requests ended.

    Parameters
    ----------
    settings : Settings
        Where the figures are served, and where certificates go.
    rank : int
        Of this scheduler among those of a data-parallel vLLM: each has a port and a file of its own.

    Raises
    ------
    InputError
        The port is taken, or the file cannot be written.
    """

    def __init__(self, settings: Settings, rank: int) -> None:
        self.registry = registry = CollectorRegistry()
        self._decision_s = Histogram("aptsched:decision_seconds", "of decisions", registry=registry, buckets=SECONDS)
        self._gap = Gauge("aptsched:certified_gap", "of the last certified decision", registry=registry)
        self._certified = Counter("aptsched:certified_decisions", "decisions with a certificate", registry=registry)
        self._largest_gap = Gauge("aptsched:largest_certified_gap", "of all decisions", registry=registry)
        self.held = Gauge("aptsched:num_requests_held", "that keep a cache and wait", registry=registry)
        self.preempted = Counter("aptsched:preemptions", "all", registry=registry)
        self.preempted_by_policy = Counter("aptsched:preemptions_by_policy", "of these", registry=registry)
        self.unsteered = Counter("aptsched:unsteered_iterations", "of vLLM alone", ["why"], registry=registry)
        self._ended = Counter("aptsched:requests", "that have ended", ["outcome"], registry=registry)
        self._in_time = Counter("aptsched:requests_in_time", "with each token in time", registry=registry)
        self._open, self._certificates, self._number, self._most = ExitStack(), None, 0, 0.0
        if settings.certificates:
            self._certificates = self._opened(Path(settings.certificates + (f".{rank}" if rank else "")))
        if settings.metrics_port:
            self._serve(settings.metrics_port + rank)

    def _opened(self, path: Path) -> TextIO:
        try:
            file = self._open.enter_context(path.open("w", encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"certificates: {path} cannot be written ({error.strerror}); a new file is accepted"
            ) from None
        file.write(certificate_log.as_line(certificate_log.HEADER))
        return file

    def _serve(self, port: int) -> None:
        try:
            server, _ = start_http_server(port, "127.0.0.1", self.registry)
        except OSError as error:
            raise InputError(f"metrics_port: {port} is not accepted ({error.strerror}); a free one is") from None
        self._open.callback(server.server_close)
        self._open.callback(server.shutdown)

    def decided(self, plan: Plan, seconds: float) -> None:
        """Notes a decision, and writes its certificate."""
        self._decision_s.observe(seconds)
        self._number += 1
        if plan.problem is None or plan.selection is None:
            return
        self._certified.inc()
        self._most = max(self._most, plan.selection.gap)
        self._gap.set(plan.selection.gap)
        self._largest_gap.set(self._most)
        if self._certificates is not None:
            self._certificates.write(certificate_log.record_line(self._number, plan.problem, plan.selection))
            self._certificates.flush()

    def ended(self, record: RequestRecord) -> None:
        """Notes how a request has ended."""
        self._ended.labels(record.outcome.value).inc()
        if record.outcome is Outcome.FINISHED and latencies([record]).attained[0]:
            self._in_time.inc()

    def close(self) -> None:
        """Closes the file and the port."""
        self._open.close()
