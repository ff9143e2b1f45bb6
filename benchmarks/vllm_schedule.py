"""What the plug-in costs in vLLM: the CPU time of schedule(), under a policy and without one, in turn.

    python -m benchmarks.vllm_schedule [--num-requests 100 1000] [--policy NAME ...] [--iterations 200]

In an environment with vLLM (`make vllm` sets one up). So many requests are there all the time; in one case all of them
decode, in the other a quarter does, as the memory is full, and the others wait. The fastest iteration and the median
count; `ours` is the least that an iteration takes outside of vLLM's own schedule(), which the plug-in calls. Prints a
table, writes vllm_schedule.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from aptsched.support.files import write
from benchmarks.tables import Row, show
from benchmarks.vllm_clock import Drive, Offered, Setup, make_scheduler
from engine.vllm import AptAsyncScheduler

POLICIES = ("vllm-v1", "fitted(shed(vllm-v1))", "bid-price")
PROMPT_TOKENS, WARM = 64, 20  # iterations that are not counted, once all run that can


def timed(schedule: Callable[..., Any], spent_ms: list[float]) -> Callable[..., Any]:
    """The same function, which notes the CPU time of each call."""

    def noted(*args: Any) -> Any:
        started = time.process_time()
        output = schedule(*args)
        spent_ms.append(1000 * (time.process_time() - started))
        return output

    return noted


def measured(policy: str, num_requests: int, waits: bool, iterations: int, directory: Path) -> Row:
    """Milliseconds of the last iterations; without a policy vLLM decides alone."""
    num_running = num_requests // 4 if waits else num_requests
    setup = Setup(
        num_blocks=num_running * (PROMPT_TOKENS + 2 * iterations) // 32,
        max_seqs=num_requests,
        asynchronous=True,
        additional={"aptsched": {"policy": policy, "slo_ttft_s": 1e6, "slo_tpot_s": 1e6}} if policy else {},
    )
    lengths = np.full(num_requests, PROMPT_TOKENS), np.full(num_requests, 10**4)
    scheduler = make_scheduler(AptAsyncScheduler if policy else AsyncScheduler, setup, directory)
    all_ms, of_vllm_ms, own = list[float](), list[float](), Scheduler.schedule
    drive = Drive(scheduler, Offered(np.zeros(num_requests), *lengths, cap_tokens=3000), setup)
    Scheduler.schedule = timed(own, of_vllm_ms)
    scheduler.schedule = timed(scheduler.schedule, all_ms)
    gc.disable()
    drive.run(most=num_requests * PROMPT_TOKENS // setup.max_tokens + WARM + iterations)
    gc.enable()
    Scheduler.schedule = own
    spent_ms = np.array([all_ms, of_vllm_ms])[:, -iterations:]
    ours_ms = float((spent_ms[0] - spent_ms[1]).min()) if policy else 0.0
    return {"least_ms": float(spent_ms[0].min()), "median_ms": float(np.median(spent_ms[0])), "ours_ms": ours_ms}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vllm_schedule",
        description="CPU time of vLLM's schedule(), with the plug-in and without.",
        epilog="example: python -m benchmarks.vllm_schedule --num-requests 100 --policy sarathi",
    )
    parser.add_argument("--num-requests", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--policy", nargs="+", default=POLICIES)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for vllm_schedule.json")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        for num_requests in options.num_requests:
            for waits in (False, True):
                case = f"{num_requests:,}, {'3/4 wait' if waits else 'all decode'}"
                for policy in ("", *options.policy):
                    spent = measured(policy, num_requests, waits, options.iterations, Path(directory))
                    rows.append({"requests": case, "policy": policy or "vLLM alone", **spent})
    show("CPU time of schedule()", rows)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "vllm_schedule.json", json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
