"""What the plug-in costs in vLLM: the CPU time of schedule(), under a policy and without one, in turn.

    python -m benchmarks.vllm_schedule [--num-requests 100 1000] [--policy NAME ...] [--iterations 200]

In an environment with vLLM (`make vllm` sets one up). So many requests are there all the time; in one case all of them
decode, in the other a quarter does, as the memory is full, and the others wait. The fastest iteration and the median
count. Prints a table, writes vllm_schedule.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from vllm.v1.core.sched.async_scheduler import AsyncScheduler

from aptsched.support.files import write
from benchmarks.tables import Row, show
from benchmarks.vllm_clock import Drive, Offered, Setup, make_scheduler
from engine.vllm import AptAsyncScheduler

POLICIES = ("vllm-v1", "fitted(shed(vllm-v1))", "bid-price")
PROMPT_TOKENS, WARM = 64, 20  # iterations that are not counted, once all run that can


class Timed(Drive):
    """A drive that notes the CPU time of each schedule()."""

    def __init__(self, scheduler: Any, given: Offered, setup: Setup) -> None:
        super().__init__(scheduler, given, setup)
        self.seconds: list[float] = []
        own = scheduler.schedule

        def timed() -> Any:
            started = time.process_time()
            output = own()
            self.seconds.append(time.process_time() - started)
            return output

        scheduler.schedule = timed


def measured(policy: str, num_requests: int, waits: bool, iterations: int, directory: Path) -> list[float]:
    """Milliseconds of the last iterations; without a policy vLLM decides alone."""
    num_running = num_requests // 4 if waits else num_requests
    setup = Setup(
        num_blocks=num_running * (PROMPT_TOKENS + 2 * iterations) // 32,
        max_seqs=num_requests,
        asynchronous=True,
        additional={"aptsched": {"policy": policy, "slo_ttft_s": 1e6, "slo_tpot_s": 1e6}} if policy else {},
    )
    lengths = np.full(num_requests, PROMPT_TOKENS), np.full(num_requests, 10**4)
    drive = Timed(
        make_scheduler(AptAsyncScheduler if policy else AsyncScheduler, setup, directory),
        Offered(np.zeros(num_requests), *lengths, cap_tokens=3000),
        setup,
    )
    gc.disable()
    drive.run(most=num_requests * PROMPT_TOKENS // setup.max_tokens + WARM + iterations)
    gc.enable()
    return [1000 * each for each in drive.seconds[-iterations:]]


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
                alone: list[float] = []
                for policy in ("", *options.policy):
                    spent = measured(policy, num_requests, waits, options.iterations, Path(directory))
                    alone = alone or spent
                    least, median = min(spent), float(np.median(spent))
                    more = least - min(alone)
                    row = {"requests": case, "policy": policy or "vLLM alone", "least_ms": least, "median_ms": median}
                    rows.append({**row, "more_ms": more, "times_vLLM": least / min(alone)})
    show("CPU time of schedule()", rows)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "vllm_schedule.json", json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
