"""FastServe's published latencies beside ours: OPT-13B, requests served to completion, as vLLM, and as FastServe.

    python -m benchmarks.fastserve [--requests 400] [--seed 0] [--gpu a100-40gb] [--max-seqs 16] [--swap bytes]

Latency is from arrival to end, over the output tokens of the request, in seconds. Published are the mean and the 95th
percentile of FasterTransformer at four rates (FastServe, arXiv 2305.05920, figures 11 and 12), and at most how many
times vLLM's rate FastServe serves at the same latency, on several models. `Completion` stands for FasterTransformer
here, whose requests are answered when their batch ends; at each rate one cause is changed beside it. ShareGPT lengths,
Poisson arrivals, 56 GB of swap space. Prints tables, writes fastserve.json, and never fails on a figure. One core takes
some three minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aptsched.policies.fastserve import FastServe
from aptsched.policies.fcfs import FCFS
from aptsched.policies.queue import entries, too_large
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, Policy, says_holds
from aptsched.scheduling.record import SLO, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.checks import Floats
from aptsched.support.files import write
from benchmarks.tables import Row, show
from engine.loop.limits import Limits
from engine.models.find_config import find_config
from engine.simulator.gpu_file import find_gpu
from engine.simulator.swap_times import BYTES, SWAPS
from engine.study.arrival_source import ArrivalSource
from engine.study.serving import NamedPolicy, Server, serve
from engine.study.simulated_replays import simulated_replays
from engine.study.simulation import Setup, simulated_server

PUBLISHED = {0.1: (0.054, 0.164), 0.2: (0.499, 1.80), 0.5: (1.376, 5.18), 1.0: (4.492, 16.3)}  # mean and P95 by rate
TIMES_VLLM = (31.4, 17.9)  # at most, at equal mean and at equal tail latency
LATENCIES_S = ((0.1, 0.5), PUBLISHED[0.2])  # mean and P95 at which rates are compared
RATES_PER_S = (0.1, 0.14, 0.2, 0.28, 0.4, 0.55, 0.75, 1.0, 1.3, 1.7, 2.3)
CONTEXT = 2048  # tokens for which FasterTransformer sets memory aside


class Completion:
    """Batches of requests, each served until all of it has ended, with memory for the whole context of every request.

    Parameters
    ----------
    most : int, optional
        Requests in a batch at most, in place of as many as have room.

    Attributes
    ----------
    batch_of : dict
        The batch of each request, by number.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.batch_of: dict[int, int] = {}
        self._num_batches = 0

    @says_holds
    def decide(self, view: View) -> Plan:
        """Goes on with the batch; where none is under way, begins one with the first that fit."""
        rows, reject = np.flatnonzero(view.running), too_large(view)
        if not len(rows):
            room = max(1, view.num_blocks // view.cache.blocks(CONTEXT, KV))
            most = min(view.max_seqs, room if self.most is None else self.most)
            rows = np.setdiff1d(np.arange(len(view.request_id)), reject)[:most]
            self._num_batches += 1
            self.batch_of.update(dict.fromkeys(view.request_id[rows].tolist(), self._num_batches))
        return Plan(*entries(view, rows), reject=reject)

    def per_token_s(self, records: Sequence[RequestRecord]) -> Floats:
        """Latencies over output tokens, where a batch is answered when its last request has ended."""
        ends: dict[int, float] = {}
        for record in records:
            batch = self.batch_of[record.request_id]
            ends[batch] = max(ends.get(batch, 0.0), float(record.token_at_s[-1]))
        return np.array(
            [(ends[self.batch_of[r.request_id]] - r.arrived_at_s) / len(r.token_at_s) for r in records], np.float64
        )


@dataclass(frozen=True)
class Bench:
    """What is served, and by what."""

    server: Server
    source: ArrivalSource

    def run(self, policy: Policy, rate_per_s: float) -> list[RequestRecord]:
        """The records of the requests that had output."""
        (replay,) = simulated_replays(self.source, [rate_per_s], SLO())
        run = serve(NamedPolicy(type(policy).__name__, lambda: policy), replay, self.server)
        return [record for record in run.records if len(record.token_at_s)]

    def rates_at(self, make: Callable[[], Policy]) -> list[tuple[float, float]]:
        """The rates at which mean and P95 reach each of `LATENCIES_S`, between neighbours of `RATES_PER_S`."""
        tried = list[tuple[float, float]]()
        for rate in RATES_PER_S:
            tried.append(mean_and_tail(per_token_s(self.run(make(), rate))))
            print(f"{rate:g}/s: {tried[-1][0]:.3g} {tried[-1][1]:.3g}", file=sys.stderr, flush=True)
            if all(took > most for took, most in zip(tried[-1], LATENCIES_S[-1], strict=True)):
                break
        means, tails = np.array(tried).T
        return [(reached(means, mean), reached(tails, tail)) for mean, tail in LATENCIES_S]


@dataclass(frozen=True)
class Completed:
    """How requests are served to completion.

    Attributes
    ----------
    cause : str
        What is changed, as tables say it; nothing by default.
    singly : bool
        Whether each is answered when it ends, and not when its batch does.
    most, num_requests : int, optional
        Requests in a batch at most, and how many come, in place of what is usual.
    """

    cause: str = ""
    singly: bool = False
    most: int | None = None
    num_requests: int | None = None

    def mean_and_tail_s(self, bench: Bench, rate_per_s: float) -> tuple[float, float]:
        """The mean and the 95th percentile of latencies over output tokens."""
        policy, source = Completion(self.most), bench.source
        if self.num_requests is not None:
            source = replace(source, num_requests=self.num_requests)
        records = Bench(bench.server, source).run(policy, rate_per_s)
        return mean_and_tail(per_token_s(records) if self.singly else policy.per_token_s(records))


ARRIVALS_S = 500
CHANGED = {
    0.1: Completed("each answered when it ends", singly=True),
    0.2: Completed("four in a batch", most=4),
    **{rate: Completed(f"arrivals for {ARRIVALS_S} s", num_requests=round(ARRIVALS_S * rate)) for rate in (0.5, 1.0)},
}  # the one thing at each rate of `PUBLISHED`


def reached(latency_s: Floats, most_s: float) -> float:
    """The rate at which latencies, of the first of `RATES_PER_S`, first pass that one; nan if they do not."""
    after = int((latency_s > most_s).argmax())
    if after == 0:
        return float("nan")
    low, high = (float(np.log(each)) for each in RATES_PER_S[after - 1 : after + 1])
    before_s, after_s = (float(np.log(each)) for each in latency_s[after - 1 : after + 1])
    return float(np.exp(low + (high - low) * (np.log(most_s) - before_s) / (after_s - before_s)))


def per_token_s(records: Sequence[RequestRecord]) -> Floats:
    """Latencies over output tokens, [r]."""
    return np.array([(r.token_at_s[-1] - r.arrived_at_s) / len(r.token_at_s) for r in records])


def mean_and_tail(each_s: Floats) -> tuple[float, float]:
    """The mean and the 95th percentile."""
    return float(each_s.mean()), float(np.percentile(each_s, 95))


def to_completion(bench: Bench) -> list[Row]:
    """The published latencies of FasterTransformer, ours, and ours with one cause changed."""
    rows: list[Row] = []
    for rate, published in PUBLISHED.items():
        usual, changed = (each.mean_and_tail_s(bench, rate) for each in (Completed(), CHANGED[rate]))
        for what, theirs, ours, then in zip(("mean", "P95"), published, usual, changed, strict=True):
            found = {"ours": ours, "ratio": ours / theirs}
            again = {"one cause changed": CHANGED[rate].cause, "ours then": then, "ratio then": then / theirs}
            rows.append({"rate": f"{rate:g}/s", "of": what, "published": theirs, **found, **again})
    return rows


def at_equal_latency(bench: Bench) -> list[Row]:
    """Rates at which latencies are reached, and how many times that of others FastServe serves."""
    completion, vllm, fastserve = (bench.rates_at(make) for make in (Completion, FCFS, FastServe))
    rows: list[Row] = []
    for number, within in enumerate(LATENCIES_S):
        for place, what in enumerate(("mean", "P95")):
            first, second, ours = (each[number][place] for each in (completion, vllm, fastserve))
            rates = {"rate completion": first, "rate vllm": second, "rate fastserve": ours}
            times = {"times completion": ours / first, "times vllm": ours / second, "at most": TIMES_VLLM[place]}
            rows.append({"within": f"{what} {within[place]:g} s", **rates, **times})
    return rows


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fastserve", description="FastServe's figures and ours.")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gpu", default="a100-40gb")
    parser.add_argument("--max-seqs", type=int, default=16, help="most requests in a batch")
    parser.add_argument("--swap", choices=SWAPS, default=BYTES, help="what swaps take")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for fastserve.json")
    options = parser.parse_args()
    setup = Setup(find_config("opt-13b"), find_gpu(options.gpu), swap_space="56GB", swap=options.swap)
    server = simulated_server(setup, Limits(max_seqs=options.max_seqs))
    bench = Bench(server, ArrivalSource(None, "sharegpt", options.requests, None, options.seed))
    tables = {
        "seconds a token, served to completion": to_completion(bench),
        "rates at equal latency": at_equal_latency(bench),
    }
    for title, rows in tables.items():
        show(f"OPT-13B on {options.gpu}: {title}", rows)
    options.out.mkdir(parents=True, exist_ok=True)
    document = {"options": {name: str(value) for name, value in vars(options).items()}, **tables}
    write(options.out / "fastserve.json", json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
