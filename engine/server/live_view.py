"""What the live page shows: unfinished requests, memory, and the last decisions, a few times a second."""

from __future__ import annotations

import math
import time
import uuid
from collections import deque
from typing import Any

import numpy as np

from aptsched.metrics.latencies import latencies
from aptsched.scheduling.forms import FORM_ENTRIES
from aptsched.scheduling.record import Outcome, RequestRecord
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.session.onlooker import Onlooker

EACH_S = 0.1  # at most so often requests are looked at
MAX_ROWS = 200  # requests that are shown, the first to arrive
NUM_DECISIONS, NUM_ENDED = 120, 200
WAITING, PREFILL, DECODE, HELD, SWAPPED = "waiting", "prefill", "decode", "held", "swapped"
FORM_NAMES = {int(entry.form): entry.name for entry in FORM_ENTRIES}
Row = dict[str, Any]
NOBODY: Row = {"requests": [], "num_requests": 0, "num_waiting": 0, "blocks": {}}


class LiveView(Onlooker):
    """Looks at a worker after its iterations, in its thread, as long as somebody watches.

    Attributes
    ----------
    num_watchers : int
        Without any, requests are not looked at.
    """

    def __init__(self) -> None:
        self.num_watchers, self._instance, self._next_s = 0, uuid.uuid4().hex, 0.0
        self._decisions: deque[tuple[float, float | None]] = deque(maxlen=NUM_DECISIONS)
        self._ended: deque[Row] = deque(maxlen=NUM_ENDED)
        self._num_ended = self._num_decisions = 0
        self._seen: Row = {"now_s": 0.0, "num_blocks": 0, **NOBODY}

    def on_iteration(self, iteration: Iteration, worker: Worker) -> None:
        """Take note of a decision; look at the requests if that was not done just now."""
        self._decisions.append((iteration.scheduling_s, iteration.gap))
        self._num_decisions += 1
        if self.num_watchers and (time.monotonic() >= self._next_s or not worker.num_unfinished):
            self._next_s = time.monotonic() + EACH_S
            self._seen = seen(iteration, worker)

    def on_rest(self, worker: Worker) -> None:
        """Take note that nothing is left."""
        self._seen = self._seen | NOBODY

    def on_record(self, record: RequestRecord) -> None:
        """Take note of a request that has ended."""
        self._num_ended += 1
        self._ended.append(
            {
                "number": self._num_ended,
                "id": record.request_id,
                "outcome": record.outcome.value,
                "attained": bool(latencies([record]).attained[0]),
            }
        )

    def shown(self) -> Row:
        """What the page is sent, but for what the server itself knows."""
        decisions, ended = list(self._decisions), list(self._ended)
        judged = [each["attained"] for each in ended if each["outcome"] in (Outcome.FINISHED.value, "rejected")]
        return {
            "instance": self._instance,
            **self._seen,
            "num_decisions": self._num_decisions,
            "decision_s": [each for each, _ in decisions],
            "gap": [gap if gap is None or math.isfinite(gap) else None for _, gap in decisions],
            "ended": ended[-50:],
            "attained": sum(judged) / len(judged) if judged else None,
        }


def seen(iteration: Iteration, worker: Worker) -> Row:
    """The worker's requests and memory after an iteration, as plain values."""
    table, pool = worker.table, worker.pool
    num_rows = min(table.num_rows, MAX_ROWS)
    slots = table.slot[:num_rows]
    columns = {name: pool.column(name, slots).tolist() for name in ("num_cached", "form", "num_held", "num_swapped")}
    names = ("request_id", "arrived_at_s", "num_prompt_tokens", "num_tokens", "cap_tokens", "pending_since_s")
    columns |= {name: getattr(table, name)[:num_rows].tolist() for name in names}
    due_s = table.arrived_at_s[:num_rows] + table.slo_ttft_s[:num_rows]
    num_outputs = table.num_tokens[:num_rows] - table.num_prompt_tokens[:num_rows]
    columns["late_s"] = (iteration.end_s - (due_s + num_outputs * table.slo_tpot_s[:num_rows])).round(4).tolist()
    columns["phase"] = phases(iteration, worker, num_rows)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for row in rows:
        row["form"] = FORM_NAMES.get(row["form"], "")
    blocks = {name: pool.num_blocks_by_form[form] for form, name in FORM_NAMES.items()}
    return {
        "now_s": iteration.end_s,
        "requests": rows,
        "num_requests": table.num_rows,
        "num_waiting": table.num_waiting,
        "blocks": {name: count for name, count in blocks.items() if count or name in ("kv", "hidden")},
        "num_blocks": pool.num_blocks,
    }


def phases(iteration: Iteration, worker: Worker, num_rows: int) -> list[str]:
    """The phase of each of the first requests after an iteration: who has a cache and got no token in it is held."""
    table, slots = worker.table, worker.table.slot[:num_rows]
    cached, swapped = worker.pool.column("num_cached", slots), worker.pool.column("num_swapped", slots)
    has_output = table.num_tokens[:num_rows] > table.num_prompt_tokens[:num_rows]
    is_late = table.pending_since_s[:num_rows] < iteration.end_s
    found = np.where(has_output, np.where(is_late, HELD, DECODE), PREFILL)
    found = np.where(cached == 0, WAITING, found)
    phase: list[str] = np.where(swapped > 0, SWAPPED, found).tolist()
    return phase
