"""Speed of the computed clock: iterations a second by policy, and over the length of the trace.

    python -m benchmarks.simulate [--num-requests 400] [--rounds 5] [--scale 1000 10000 100000] [--trace FILE]

OPT-13B on A100-40GB with ShareGPT lengths at 3 requests a second, all in one process; an iteration is view, decision,
certificate, pool, cost and record. The policies run in turn, in several rounds, and the fastest round of each counts,
beside the slowest: a run takes the same steps each time, so any further time is the machine's other work. Then
Apt-Serve, once each, on longer and longer traces of requests that the GPU keeps up with: the microseconds an iteration
stay the same if they do not depend on what has been served before. Then, if it is given, a whole trace with Llama-3-8B
on A100-80GB. Times are of the process's CPU, beside the wall clock. Prints tables, writes simulate.json, and never
fails on a figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aptsched.cli.policies import answers
from aptsched.policies.oracle import TrueLengths
from aptsched.scheduling.record import SLO
from aptsched.support.files import write
from benchmarks.tables import Row, show
from engine.loop.limits import Limits
from engine.models.find_config import find_config
from engine.simulator.gpu_file import find_gpu
from engine.study.arrival_source import ArrivalSource
from engine.study.named_policies import named_policies
from engine.study.replay import Replay
from engine.study.serving import Server, serve
from engine.study.simulated_replays import simulated_replays
from engine.study.simulation import Setup, simulated_server

POLICIES = ("fcfs", "vllm-v1", "sarathi", "random", "sjf", "fastserve", "aptserve", "aptserve:forms=kv")
RATE_PER_S = 3.0


def measured(name: str, replay: Replay, server: Server) -> Row:
    """One run: its size, and its time."""
    oracle = TrueLengths(np.arange(len(replay)), replay.num_output_tokens)
    (policy,) = named_policies(name, answers(), oracle)
    wall, cpu = time.perf_counter(), time.process_time()
    run = serve(policy, replay, server)
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    metrics, count = run.metrics, run.usage.num_iterations
    return {
        "policy": name,
        "requests": len(replay),
        "iterations": count,
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "us_each": 1e6 * cpu_s / count,
        "per_s": count / cpu_s,
        "finished": metrics.num_finished,
        "attained": metrics.attained,
    }


def by_policy(num_requests: int, rounds: int, seed: int) -> list[Row]:
    """Every policy on the same requests, near the knee, in its fastest round."""
    server = simulated_server(Setup(find_config("opt-13b"), find_gpu("a100-40gb")), Limits())
    source = ArrivalSource(workload="sharegpt", num_requests=num_requests, seed=seed)
    (replay,) = simulated_replays(source, [RATE_PER_S], SLO())
    turns = [[measured(name, replay, server) for name in POLICIES] for _ in range(rounds)]
    return [fastest(runs) for runs in zip(*turns, strict=True)]


def fastest(runs: Sequence[Row]) -> Row:
    """The fastest of several runs of the same requests, with the time of an iteration in the slowest."""
    ordered = sorted(runs, key=lambda row: row["us_each"])
    return ordered[0] | {"slowest_us": ordered[-1]["us_each"]}


def by_length(sizes: Sequence[int], seed: int) -> list[Row]:
    """Apt-Serve on traces of more and more requests, of a load that the GPU keeps up with."""
    server = simulated_server(Setup(find_config("opt-13b"), find_gpu("a100-40gb")), Limits())
    rows = []
    for size in sizes:
        source = ArrivalSource(workload="humaneval", num_requests=size, seed=seed)
        (replay,) = simulated_replays(source, [RATE_PER_S], SLO())
        rows.append(measured("aptserve", replay, server))
    return rows


def whole_trace(path: str) -> list[Row]:
    """All requests of a trace, as they came."""
    server = simulated_server(Setup(find_config("llama-3-8b"), find_gpu("a100-80gb")), Limits())
    (replay,) = simulated_replays(ArrivalSource(trace=path), [], SLO())
    return [measured(name, replay, server) for name in ("fcfs", "aptserve")]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate",
        description="Iterations a second of the computed clock, by policy and by length of the trace.",
        epilog="example: python -m benchmarks.simulate --num-requests 100 --scale 1000 4000",
    )
    parser.add_argument("--num-requests", type=int, default=400, help="ShareGPT-like requests for each policy")
    parser.add_argument("--rounds", type=int, default=5, help="of all policies; the fastest counts")
    parser.add_argument("--scale", type=int, nargs="*", default=[1000, 10_000, 100_000], help="sizes of traces")
    parser.add_argument("--trace", help="a trace that is replayed whole, such as Azure's of 2023")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for simulate.json")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds: {options.rounds} is not accepted; at least 1 is")
    tables = {
        f"OPT-13B on A100-40GB, ShareGPT at {RATE_PER_S:g} requests a second; microseconds an iteration": by_policy(
            options.num_requests, options.rounds, options.seed
        )
    }
    if options.scale:
        tables["HumanEval at the same rate, over the length of the trace"] = by_length(options.scale, options.seed)
    if options.trace:
        tables["Llama-3-8B on A100-80GB, the whole trace"] = whole_trace(options.trace)
    for title, rows in tables.items():
        show(title, rows)
    machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    document = {**machine, "options": {name: str(value) for name, value in vars(options).items()}, "tables": tables}
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "simulate.json", json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
