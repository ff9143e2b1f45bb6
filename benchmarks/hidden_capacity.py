"""How many requests a second each policy holds, with hidden states that are absorbed or rebuilt.

    python -m benchmarks.hidden_capacity [--sets sharegpt humaneval longbench] [--seeds 0 1 2 3 4] [--jobs 1]

OPT-13B on A100-40GB by computed cost, unless said otherwise. Requests arrive for 660 seconds, and the run goes on until
all have ended; the first 60 seconds warm up, and of the others 90% have to have their first token within 1 s and no gap
of over 1 s between tokens. Of rates that are 2% apart the highest that holds this is sought, in steps and then by
bisection: it holds, as do all lower ones that were tried. A seed stands for the same requests at every rate, stretched
in time, and for every policy. Prints the mean rates, and how many times the rate of each other policy
`aptserve:charge=lifetime` holds: the geometric mean over the seeds, with half of its 95% interval. Writes
hidden_capacity.json, and never fails on a figure.

A set is a built-in workload or a trace file. Two cores take some 40 minutes for the default.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from aptsched.cli.policies import answers
from aptsched.metrics.latencies import latencies
from aptsched.scheduling.record import SLO
from aptsched.support.checks import Floats
from aptsched.support.files import write
from aptsched.workload.synthetic import WORKLOADS
from benchmarks.tables import Row, show
from engine.loop.limits import Limits
from engine.models.find_config import find_config
from engine.simulator.gpu_file import find_gpu
from engine.study.arrival_source import ArrivalSource, traces
from engine.study.named_policies import named_policies
from engine.study.replay import Replay, replay
from engine.study.serving import Server, serve
from engine.study.simulated_replays import window
from engine.study.simulation import Setup, simulated_server

WARM_UP_S, ARRIVALS_S = 60.0, 600.0
NUM_REQUESTS = 25_000  # drawn for a seed, of which those that arrive in time are served
LEVEL = 0.9  # share of requests within both objectives
WITHIN = 1.02  # between rates that are told apart
STEP = 8  # of these from rate to rate, until one holds and the next does not
NO_HIDDEN = ("fcfs", "aptserve:forms=kv")
LIFETIME = ("aptserve:charge=lifetime", "absorbed")
VARIANTS = (
    LIFETIME,
    ("aptserve", "rebuilt"),
    ("fcfs", "rebuilt"),
    ("aptserve:forms=hidden", "absorbed"),
    ("aptserve:forms=kv", "absorbed"),
    ("aptserve", "absorbed"),
)
FURTHEST = 30  # times lower than the first rate, where the search ends
FIRST_RATE_PER_S = {"sharegpt": 2.0, "humaneval": 14.0, "longbench": 1.0}  # of OPT-13B on an A100


@dataclass(frozen=True)
class Case:
    """A policy, and how hidden states are read, on the requests of a set, for each of the seeds."""

    name: str
    hidden_attention: str
    lengths: str
    seeds: tuple[int, ...]
    model: str
    gpu: str
    first_rate_per_s: float

    @property
    def label(self) -> str:
        """Its name in the tables."""
        return label_of(self.name, self.hidden_attention)

    def rates_per_s(self) -> list[float]:
        """The highest rate that holds, for each seed; the search of one begins where the last one ended."""
        server, found = self._server(), list[float]()
        for seed in self.seeds:
            first = found[-1] if found and found[-1] else self.first_rate_per_s
            found.append(highest_that_holds(partial(self._holds, server, seed), first))
        return found

    def _server(self) -> Server:
        model, gpu = find_config(self.model), find_gpu(self.gpu)
        return simulated_server(Setup(model, gpu, hidden_attention=self.hidden_attention), Limits())

    def _holds(self, server: Server, seed: int, rate_per_s: float) -> bool:
        """Whether enough of the requests after the warm-up have TTFT and largest TBT within their objectives."""
        (policy,) = named_policies(self.name, answers())
        run = serve(policy, requests(self.lengths, seed, rate_per_s), server)
        each = latencies(run.records)
        arrived_at_s = np.array([record.arrived_at_s for record in run.records])
        return bool(each.attained_max_tbt[arrived_at_s >= WARM_UP_S].mean() >= LEVEL)


def label_of(name: str, hidden_attention: str) -> str:
    """Policy and reading, as in the tables; a policy that gives no hidden form is the same however that is read."""
    short = name.removeprefix("aptserve:")
    return short if name in NO_HIDDEN else f"{short}, {hidden_attention}"


def requests(lengths: str, seed: int, rate_per_s: float) -> Replay:
    """The requests of a seed that arrive in time at that rate; those of lower rates are the first of them."""
    workload, file = (lengths, None) if lengths in WORKLOADS else (None, lengths)
    ((_, trace),) = traces(ArrivalSource(file, workload, NUM_REQUESTS, seed=seed), [rate_per_s])
    assert trace.last_arrival_s > WARM_UP_S + ARRIVALS_S, "requests arrive until the end"
    return replay(window(trace, WARM_UP_S + ARRIVALS_S), SLO(1.0, 1.0), rate_per_s, seed)


def highest_that_holds(holds: Callable[[float], bool], first_per_s: float) -> float:
    """The highest rate that holds of those that are `WITHIN` apart: in steps from the first one, then by bisection.

    It is 0 where not even a `FURTHEST` part of the first rate holds.
    """
    first = round(math.log(first_per_s, WITHIN))
    low = high = first
    if holds(WITHIN**first):
        while holds(WITHIN ** (high := low + STEP)):
            low = high
    else:
        while not holds(WITHIN ** (low := high - STEP)):
            high = low
            if WITHIN ** (first - low) > FURTHEST:
                return 0.0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(WITHIN**middle) else (low, middle)
    return WITHIN**low


def interval(ratios: Floats) -> tuple[float, float, float]:
    """Geometric mean of paired ratios, [s], and its 95% interval: Student's t over the logarithms; nan of one alone."""
    from scipy.stats import t

    logs, half = np.log(ratios), math.nan
    if len(logs) > 1:
        half = t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    return tuple(np.exp(logs.mean() + np.array([0.0, -half, half])).tolist())


def cell(ratios: Floats) -> str:
    """The mean, and half of its interval."""
    mean, low, high = interval(ratios)
    return f"{mean:.2f}" if math.isnan(low) else f"{mean:.2f} +-{(high - low) / 2:.2f}"


def rate_table(sets: Sequence[str], found: dict[Case, list[float]]) -> list[Row]:
    """For each policy the mean over seeds of the highest rate, by set."""
    labels = list(dict.fromkeys(case.label for case in found))
    mean = {(case.label, case.lengths): float(np.mean(rates)) for case, rates in found.items()}
    return [{"policy": label, **{Path(each).stem: mean[label, each] for each in sets}} for label in labels]


def ratio_table(sets: Sequence[str], found: dict[Case, list[float]]) -> list[Row]:
    """How many times the rate of each other policy `LIFETIME` holds, by set and in the geometric mean over all sets."""
    ours = {case.lengths: np.array(rates) for case, rates in found.items() if case.label == label_of(*LIFETIME)}
    others = dict.fromkeys(case.label for case in found if case.label != label_of(*LIFETIME))
    rows: list[Row] = []
    for label in others:
        theirs = {case.lengths: np.array(rates) for case, rates in found.items() if case.label == label}
        by_set = {each: ours[each] / theirs[each] for each in sets}
        over_all = np.exp(np.mean([np.log(ratios) for ratios in by_set.values()], axis=0))
        cells = {Path(each).stem: cell(ratios) for each, ratios in by_set.items()}
        rows.append({"times the rate of": label, **cells, "all": cell(over_all)})
    return rows


def searched(cases: Sequence[Case], num_jobs: int) -> dict[Case, list[float]]:
    """The rates of each case, in order, found by so many processes."""
    began, found = time.perf_counter(), dict[Case, list[float]]()
    with ProcessPoolExecutor(num_jobs) as pool:
        futures = {pool.submit(case.rates_per_s): case for case in cases}
        for future in as_completed(futures):
            case, rates = futures[future], future.result()
            found[case] = rates
            at = f"[{len(found)}/{len(cases)}, {time.perf_counter() - began:.0f} s]"
            print(at, case.lengths, case.label, *(f"{rate:.4g}" for rate in rates), file=sys.stderr, flush=True)
    return {case: found[case] for case in cases}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hidden_capacity",
        description="The highest rate that each policy holds, with hidden states absorbed or rebuilt.",
        epilog="example: python -m benchmarks.hidden_capacity --sets longbench --seeds 0 1 --jobs 2",
    )
    parser.add_argument("--sets", nargs="+", default=list(FIRST_RATE_PER_S), help="workloads or trace files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--policies", nargs="+", help="only these, and aptserve:charge=lifetime")
    parser.add_argument("--model", default="opt-13b")
    parser.add_argument("--gpu", default="a100-40gb")
    parser.add_argument("--first-rate", type=float, help="where the search begins, in requests a second")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for hidden_capacity.json")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"--jobs: {options.jobs} is not accepted; at least 1 is")
    cases = [
        Case(*variant, each, tuple(options.seeds), options.model, options.gpu, first_rate(each, options.first_rate))
        for variant in VARIANTS
        if options.policies is None or variant[0] in options.policies or variant == LIFETIME
        for each in options.sets
    ]
    found = searched(cases, options.jobs)
    show(f"{options.model} on {options.gpu}: requests a second that hold", rate_table(options.sets, found))
    if len(found) > len(options.sets):
        show(f"{label_of(*LIFETIME)}: times what others hold", ratio_table(options.sets, found))
    document = {
        "options": {name: str(value) for name, value in vars(options).items()},
        "capacities": [{**asdict(case), "rates_per_s": rates} for case, rates in found.items()],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "hidden_capacity.json", json.dumps(document, indent=1))


def first_rate(lengths: str, given: float | None) -> float:
    """Where the search begins: as given, or near what OPT-13B holds on an A100."""
    return given or FIRST_RATE_PER_S.get(lengths, 1.0)


if __name__ == "__main__":
    main()
