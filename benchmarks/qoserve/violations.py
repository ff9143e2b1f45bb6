"""Requests of three classes, with the lengths of Azure's code trace, and the share that misses its objectives."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from aptsched.policies.named import load_policy
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.support.checks import Ints
from aptsched.support.files import write
from aptsched.workload.arrivals import gamma_arrivals
from aptsched.workload.own_columns import OwnColumns
from aptsched.workload.synthetic import WORKLOADS
from aptsched.workload.trace import Trace
from engine.capacities.kept import code_digest
from engine.study.replay import replay
from engine.study.serving import NamedPolicy, Server, serve

ACCEPTED = 0.01  # share of violations
DRAINED_S = 60.0  # within which all is served after the last arrival, if the queue does not grow
RATES_PER_S = np.arange(1.25, 5.01, 0.25)
MEDIANS = (1930, 8)  # tokens of prompt and output
TTLT_S = (0.0, 600.0, 1800.0)  # of the classes; 0 for the one with a deadline for each token
TTFT_S, TPOT_S = 6.0, 0.05
CONTEXT, ROOM = 8192, 512  # tokens of the model's context, and of it those that prompts leave to outputs


@dataclass(frozen=True)
class Requests:
    """What arrives: for so many hours, from one seed, with prompts and outputs of these medians."""

    hours: float
    seed: int = 0
    medians: tuple[int, int] = MEDIANS

    def trace(self, rate_per_s: float) -> tuple[Trace, Ints]:
        """The requests at that rate, and the class of each, [r], by its place in `TTLT_S`."""
        rng, workload = np.random.default_rng(self.seed), WORKLOADS["azure-code"]
        count = max(1, round(self.hours * 3600 * rate_per_s))
        lengths = [
            np.maximum(1, np.rint(model.sample(count, one) * median / model.p50)).astype(np.int64)
            for model, median, one in zip((workload.prompt, workload.output), self.medians, rng.spawn(2), strict=True)
        ]
        prompts = np.minimum(lengths[0], CONTEXT - ROOM)
        outputs = np.minimum(lengths[1], CONTEXT - prompts)
        classes, arrived_at_s = rng.integers(0, len(TTLT_S), count), gamma_arrivals(count, rate_per_s, 1.0, rng)
        long = outputs.mean() + 2 * outputs.std()
        due_s = np.array([TTFT_S, *(whole_s - TPOT_S * (long - 1) for whole_s in TTLT_S[1:])])[classes]
        own = OwnColumns(slo_ttft_s=due_s, slo_tpot_s=np.full(count, TPOT_S))
        return Trace(arrived_at_s, prompts, outputs, own=own), classes


@dataclass(frozen=True)
class Served:
    """What came of a run.

    Attributes
    ----------
    violations : float
        Share of the requests that missed their objectives.
    drained_s : float
        How long after the last arrival the last token came.
    """

    violations: float
    drained_s: float

    @property
    def is_held(self) -> bool:
        """Whether few enough violate, and the queue does not grow: it would come to violations if more arrived."""
        return self.violations <= ACCEPTED and self.drained_s <= DRAINED_S


@dataclass(frozen=True)
class Bench:
    """Runs; what came of each is kept in a file as soon as it is known, and is not computed again.

    Attributes
    ----------
    server : Server
    kept : Path
        The file; what other code has computed does not count.
    """

    server: Server
    kept: Path

    def served(self, policy: str, rate_per_s: float, requests: Requests) -> Served:
        """What comes of a run at that rate."""
        known = self._known()
        key = f"{policy} at {rate_per_s:g}/s: {requests}"
        if key not in known:
            found = self._serve(policy, rate_per_s, requests)
            known = {**known, key: asdict(found)}
            write(self.kept, json.dumps({"code": code_digest(), "runs": known}, indent=1))
            print(f"{key}: {found}", file=sys.stderr, flush=True)
        return Served(**known[key])

    def highest_rate(self, policy: str, requests: Requests) -> float:
        """The highest of `RATES_PER_S` that is held, by bisection; nan where the lowest is not."""
        low, high = -1, len(RATES_PER_S)
        while high - low > 1:
            middle = (low + high) // 2
            if self.served(policy, float(RATES_PER_S[middle]), requests).is_held:
                low = middle
            else:
                high = middle
        return float(RATES_PER_S[low]) if low >= 0 else float("nan")

    def _known(self) -> dict[str, dict[str, float]]:
        if not self.kept.exists():
            return {}
        text = json.loads(self.kept.read_text(encoding="utf-8"))
        return dict(text["runs"]) if text["code"] == code_digest() else {}

    def _serve(self, policy: str, rate_per_s: float, requests: Requests) -> Served:
        trace, classes = requests.trace(rate_per_s)
        end_s = trace.last_arrival_s + TTLT_S[-1]
        named, of = NamedPolicy(policy, partial(load_policy, policy)), replay(trace, SLO(), rate_per_s)
        run = serve(named, of, self.server, is_enough=lambda last: has_ended(last, end_s))
        late = [violates(record, TTLT_S[classes[record.request_id]]) for record in run.records]
        last_s = max(float(record.token_at_s[-1]) for record in run.records if len(record.token_at_s))
        return Served(float(np.mean(late)), last_s - trace.last_arrival_s)


def has_ended(last: RequestRecord, end_s: float) -> bool:
    """Whether a run is at a time at which all requests that it still serves have missed their objectives."""
    return bool(len(last.token_at_s)) and float(last.token_at_s[-1]) > end_s


def violates(record: RequestRecord, whole_s: float) -> bool:
    """Whether a request has missed its objectives; the last token counts of one that is due as a whole."""
    if record.outcome is not Outcome.FINISHED:
        return True
    after_s = record.token_at_s - record.arrived_at_s
    if whole_s:
        return bool(after_s[-1] > whole_s)
    return bool((after_s > TTFT_S + TPOT_S * np.arange(len(after_s)) + 1e-9).any())
