"""What /metrics shows: Prometheus's text, by vLLM's names where they mean the same, and what vLLM has no names for."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from aptsched.metrics.latencies import latencies
from aptsched.scheduling.forms import FORM_ENTRIES, CacheForm
from aptsched.scheduling.record import Outcome, RequestRecord
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.session.onlooker import Onlooker

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DECISION_S = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
GAPS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
REFUSED_BY = ("queue", "policy", "size")


class Exposition(Onlooker):
    """Counts what a session does, for Prometheus to read.

    Parameters
    ----------
    model : str
        The label `model_name`, as vLLM has it.
    """

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._model, self._pending_since_s, self._now_s, self._at_s = model, np.inf, 0.0, 0.0
        gauge, counter, seconds = self._gauge, self._counter, self._histogram
        self._running = gauge("vllm:num_requests_running", "Requests with a cache.")
        self._waiting = gauge("vllm:num_requests_waiting", "Requests without a cache.")
        self._usage = gauge("vllm:kv_cache_usage_perc", "Share of the pool's blocks that requests hold, from 0 to 1.")
        self._preemptions = counter("vllm:num_preemptions", "Preemptions.")
        self._prompt = counter("vllm:prompt_tokens", "Tokens of the prompts of requests that have ended.")
        self._output = counter("vllm:generation_tokens", "Output tokens of requests that have ended.")
        self._ttft = seconds("vllm:time_to_first_token_seconds", "From arrival to first token.", SECONDS)
        self._tbt = seconds("vllm:inter_token_latency_seconds", "Gaps between tokens.", SECONDS)
        self._latency = seconds("vllm:e2e_request_latency_seconds", "From arrival to the last token.", SECONDS)
        self._success = self._labelled("vllm:request_success", "Requests that ended.", "finished_reason")
        self._refused = self._labelled("aptsched:requests_refused", "Requests refused, by what.", "by")
        self._blocks = self._by_form()
        self._pending = gauge("aptsched:pending_seconds", "The longest that a request waits for its next token now.")
        self._pending.set_function(self._pending_s)
        self._decision = seconds("aptsched:decision_seconds", "Scheduling of an iteration.", DECISION_S)
        self._gap = seconds(
            "aptsched:certified_gap_ratio", "Certified gap of a decision, a share of the optimum.", GAPS
        )
        self._iterations = counter("aptsched:iterations", "Iterations.")
        self._judged = counter("aptsched:requests_judged", "Requests held against their objectives.")
        self._attained = counter("aptsched:requests_attained", "Of these, with every token by its deadline.")
        for by in REFUSED_BY:
            self._refused.labels(self._model, by)

    def text(self) -> bytes:
        """The exposition, in Prometheus's text format."""
        return generate_latest(self.registry)

    def refused(self, by: str, num_requests: int) -> None:
        """Count requests that are refused by the queue's bound, by the policy, or as too large."""
        self._refused.labels(self._model, by).inc(num_requests)

    def finished(self, reason: str) -> None:
        """Count a request that ended by itself."""
        self._success.labels(self._model, reason).inc()

    def on_iteration(self, iteration: Iteration, worker: Worker) -> None:
        """Take note of an iteration."""
        self._iterations.inc()
        if iteration.num_preemptions:
            self._preemptions.inc(iteration.num_preemptions)
        self._decision.observe(iteration.scheduling_s)
        if iteration.gap is not None:
            self._gap.observe(iteration.gap)
        self._now_s, self._at_s = iteration.end_s, time.monotonic()
        self._look(worker)

    def on_rest(self, worker: Worker) -> None:
        """Take note that nothing is left."""
        self._look(worker)

    def on_record(self, record: RequestRecord) -> None:
        """Take note of a request that has ended; one that was broken off is not held against its objectives."""
        if len(record.token_at_s):
            self._prompt.inc(record.num_prompt_tokens)
            self._output.inc(record.num_output_tokens)
            self._ttft.observe(record.token_at_s[0] - record.arrived_at_s)
            for gap_s in np.diff(record.token_at_s).tolist():
                self._tbt.observe(gap_s)
        if record.outcome is Outcome.FINISHED:
            self._latency.observe(record.token_at_s[-1] - record.arrived_at_s)
        if record.outcome in (Outcome.FINISHED, Outcome.REJECTED):
            self._judged.inc()
            self._attained.inc(int(latencies([record]).attained.sum()))
        else:
            self._success.labels(self._model, "abort").inc()

    def _look(self, worker: Worker) -> None:
        """Take note of who is there, and of the blocks that they hold."""
        num_rows = worker.num_unfinished
        self._running.set(num_rows - worker.table.num_waiting)
        self._waiting.set(worker.table.num_waiting)
        self._usage.set(1 - worker.pool.free_blocks / worker.pool.num_blocks)
        for form, held in self._blocks:
            held.set(worker.pool.num_blocks_by_form[form])
        self._pending_since_s = float(worker.table.pending_since_s[:num_rows].min(initial=np.inf))

    def _pending_s(self) -> float:
        """The longest wait for a next token: that at the last iteration's end, and the time since."""
        waited_s = self._now_s - self._pending_since_s
        return waited_s + time.monotonic() - self._at_s if waited_s >= 0 else 0.0

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["model_name"], registry=self.registry).labels(self._model)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, ["model_name"], registry=self.registry).labels(self._model)

    def _histogram(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        edges = tuple(buckets)
        return Histogram(name, text, ["model_name"], buckets=edges, registry=self.registry).labels(self._model)

    def _labelled(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, ["model_name", label], registry=self.registry)

    def _by_form(self) -> list[tuple[CacheForm, Gauge]]:
        blocks = Gauge("aptsched:cache_blocks", "Blocks held, by form.", ["model_name", "form"], registry=self.registry)
        return [(entry.form, blocks.labels(self._model, entry.name)) for entry in FORM_ENTRIES]
