"""Compares live runs of our engine with the same runs on the computed clock, on this machine.

    python -m benchmarks.clocks [--model smollm2] [--policies fcfs aptserve] [--num-requests 60] [--runs 3]
                                [--calibration FILE] [--rates R R R] [--out bench-out]

The same requests are served at three rates, by default 0.6, 1 and 1.5 times the knee, which is the highest rate at
which the computed clock sees 90% of the requests of the first policy within both objectives. Live runs are repeated,
all policies and rates in turn; their medians are compared with the computed run. For that the model is calibrated
before each live run (or `--calibration FILE` is used): iterations of requests of equal lengths, none of them from the
workload that is replayed. The speed of many machines drifts by more than the difference that is looked for; so the
profile is of all these calibrations together, which were measured in the same periods as the runs. Prints a table,
writes clocks.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from pathlib import Path

import numpy as np
import torch

from aptsched.scheduling.record import SLO
from aptsched.support.files import write
from benchmarks.tables import Row, show
from engine.calibration import calibration_json
from engine.calibration.measure import Calibration
from engine.calibration.points import fit
from engine.loop.clock import SchedulingTime
from engine.loop.limits import Limits
from engine.models.model import load_model
from engine.session import cache_memory
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.cost import by_profile
from engine.study import real_model
from engine.study.arrival_source import ArrivalSource
from engine.study.named_policies import named_policies
from engine.study.replay import Replay
from engine.study.served_run import ServedRun
from engine.study.serving import NamedPolicy, Server, serve
from engine.study.simulated_replays import simulated_replays

KNEE = 0.9  # share of the requests within both objectives
SHARES = (0.6, 1.0, 1.5)  # rates, relative to the one at the knee


def computed_server(server: Server, measured: Calibration) -> Server:
    """The same server, on the computed clock."""
    return dataclasses.replace(
        server,
        executor=ComputedExecutor(by_profile(measured, server.cache), server.cache),
        scheduling=SchedulingTime(),
    )


def together(measured: list[Calibration]) -> Calibration:
    """One calibration fitted to the points of all."""
    points = tuple(point for each in measured for point in each.points)
    times, r_squared = fit(points)
    return dataclasses.replace(measured[0], times=times, r_squared=r_squared, points=points)


def requests(options: argparse.Namespace, rate_per_s: float, vocab_size: int | None = None) -> Replay:
    """The requests of the options at one rate: the same lengths at each."""
    source = ArrivalSource(options.trace, options.workload, options.num_requests, options.cv, options.seed)
    (replay,) = simulated_replays(source, [rate_per_s], SLO(options.slo_ttft, options.slo_tpot))
    return dataclasses.replace(
        replay,
        vocab_size=vocab_size,
        num_prompt_tokens=replay.num_prompt_tokens.clip(max=options.max_prompt_tokens),
        num_output_tokens=replay.num_output_tokens.clip(max=options.max_output_tokens),
    )


def knee(options: argparse.Namespace, policy: NamedPolicy, server: Server) -> float:
    """The highest rate, to 2%, at which a share of `KNEE` of the requests is within both objectives, computed."""
    low, high = 1e-3, 1e3
    while high / low > 1.02:
        rate = (low * high) ** 0.5
        run = serve(policy, requests(options, rate), server)
        low, high = (rate, high) if run.metrics.attained_p99_tbt >= KNEE else (low, rate)
    return low


def figures(run: ServedRun) -> tuple[float, float]:
    """Share of requests within both objectives, and seconds from the first arrival to the last token."""
    return run.metrics.attained_p99_tbt, run.metrics.span_s


def compared(policy: str, rate_per_s: float, lives: list[tuple[float, float]], computed: tuple[float, float]) -> Row:
    """One row of the table: medians of the live runs beside the computed run."""
    attained, span_s = (float(np.median(column)) for column in zip(*lives, strict=True))
    return {
        "policy": policy,
        "rate_per_s": rate_per_s,
        "live_attained": attained,
        "computed_attained": computed[0],
        "points_apart": 100 * abs(attained - computed[0]),
        "live_s": span_s,
        "computed_s": computed[1],
        "time_apart": abs(computed[1] / span_s - 1),
        "live_runs": [list(each) for each in lives],
    }


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.clocks",
        description="Attainment and total time, live and on the computed clock.",
        epilog="example: python -m benchmarks.clocks --runs 1 --num-requests 20 --policies fcfs",
    )
    parser.add_argument("--model", default="smollm2", help="as in aptsched run")
    parser.add_argument("--expand-kv-heads", action="store_true", help="as in aptsched run")
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cache-mem", default="128MiB", help="memory of the cache")
    parser.add_argument("--calibration", type=Path, help="a file of aptsched calibrate, of the same model")
    parser.add_argument("--policies", nargs="+", default=["fcfs", "aptserve"])
    parser.add_argument("--trace")
    parser.add_argument("--workload", help="humaneval without a trace")
    parser.add_argument("--rates", type=float, nargs="+", help="requests a second, in place of those about the knee")
    parser.add_argument("--num-requests", type=int, default=60)
    parser.add_argument("--cv", type=float)
    parser.add_argument("--max-prompt-tokens", type=int, default=512, help="longer prompts are clipped")
    parser.add_argument("--max-output-tokens", type=int, default=64, help="longer outputs are clipped")
    parser.add_argument("--slo-ttft", type=float, default=1.0)
    parser.add_argument("--slo-tpot", type=float, default=0.5)
    parser.add_argument("--runs", type=int, default=3, help="live runs at each rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for clocks.json")
    options = parser.parse_args()
    if options.trace is None and options.workload is None:
        options.workload = "humaneval"
    return options


def main() -> None:
    """Runs the benchmark."""
    from aptsched.cli.policies import answers

    options = parsed()
    real_model.set_threads(options.threads)
    model = load_model(options.model, options.dtype, expand_kv_heads=options.expand_kv_heads)
    measured = [calibration_json.load(options.calibration) if options.calibration else real_model.calibrated(model)]
    blocks = cache_memory.num_blocks(model, options.cache_mem)
    server = real_model.live_server(model, blocks, Limits(), measured[0].times)
    policies = named_policies(options.policies, answers())
    rates = options.rates or [
        share * knee(options, policies[0], computed_server(server, measured[0])) for share in SHARES
    ]
    vocab_size = model.config.vocab_size
    real_model.warm_up(policies, requests(options, rates[0], vocab_size), server)
    lives: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for _ in range(options.runs):
        for rate in rates:
            for policy in policies:
                if not options.calibration:
                    measured.append(real_model.calibrated(model))
                    server = dataclasses.replace(server, times=measured[-1].times)
                run = serve(policy, requests(options, rate, vocab_size), server)
                lives.setdefault((policy.name, rate), []).append(figures(run))
                print(f"{policy.name} at {rate:.3g}/s: {lives[policy.name, rate][-1]}", file=sys.stderr, flush=True)
    profile = together(measured)
    computed = dataclasses.replace(computed_server(server, profile), times=profile.times)
    rows = [
        compared(policy.name, rate, lives[policy.name, rate], figures(serve(policy, requests(options, rate), computed)))
        for rate in rates
        for policy in policies
    ]
    shown = [{name: value for name, value in row.items() if name != "live_runs"} for row in rows]
    show("live (median) against computed", shown)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}
    document: Row = {**machine, "options": {name: str(value) for name, value in vars(options).items()}}
    document |= {"calibration": dataclasses.asdict(profile), "num_blocks": blocks, "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "clocks.json", json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
