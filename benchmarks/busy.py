"""How much slower a decode is beside other processes that keep every core busy.

    python -m benchmarks.busy [--loops 2] [--repeats 5] [--out bench-out]

SmolLM2 decodes one request, and eight, in KV form, and four in hidden form, alone and beside processes that do nothing
but count, in turn. Two threads on two cores that share them with two such loops get half of each, so twice the time is
expected; what is beyond it the threads lose by waiting for each other. Prints a table, writes
busy.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from aptsched.report.document import machine
from aptsched.scheduling.forms import CacheForm
from aptsched.support.files import write
from benchmarks.tables import Row, show
from engine.calibration.measure import uniform_batch
from engine.models.model import load_model
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import Batch

DECODES = ((1, 64, CacheForm.KV), (8, 128, CacheForm.KV), (4, 64, CacheForm.HIDDEN))  # requests, cached of each, form
CALLS = 8  # calls of each decode in a round


@contextlib.contextmanager
def busy(num_loops: int) -> Iterator[None]:
    """Run so many processes that do nothing but count."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num_loops)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def median_ms(executor: TorchExecutor, batch: Batch) -> float:
    """The median time of a few calls, after one to warm up."""
    return 1e3 * float(np.median([executor.run(batch).duration_s for _ in range(CALLS + 1)][1:]))


def rounds(executor: TorchExecutor, batches: list[Batch], num_loops: int, repeats: int) -> list[Row]:
    """Milliseconds of each decode alone and beside the loops, in turn."""
    alone, beside = np.zeros((2, repeats, len(batches)))
    for i in track(range(repeats), "rounds", console=Console(stderr=True), transient=True):
        alone[i] = [median_ms(executor, batch) for batch in batches]
        with busy(num_loops):
            beside[i] = [median_ms(executor, batch) for batch in batches]
    return [
        {
            "decode of": f"{size} x {cached} tokens, {form.name.lower()}",
            "alone_ms": float(np.median(alone[:, i])),
            f"beside_{num_loops}_loops_ms": float(np.median(beside[:, i])),
            "ratio": float(np.median(beside[:, i] / alone[:, i])),
            "worst_ratio": float((beside[:, i] / alone[:, i]).max()),
        }
        for i, (size, cached, form) in enumerate(DECODES)
    ]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.busy",
        description="A decode beside processes that keep the cores busy, over the same alone.",
        epilog="example: python -m benchmarks.busy --loops 4",
    )
    parser.add_argument("--loops", type=int, default=os.cpu_count() or 1, help="busy processes (default: one a CPU)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of both")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for busy.json")
    options = parser.parse_args()
    model = load_model("smollm2", expand_kv_heads=True)
    cache = model.config.cache()
    executor = TorchExecutor(
        model.decoder, sum(size * cache.blocks(cached + 1, CacheForm.KV) for size, cached, _ in DECODES)
    )
    batches = [uniform_batch(size, cached, 1, form, cache) for size, cached, form in DECODES]
    rows = rounds(executor, batches, options.loops, options.repeats)
    show(f"decodes beside {options.loops} busy processes", rows)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "busy.json", json.dumps({"machine": machine(), "loops": options.loops, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
