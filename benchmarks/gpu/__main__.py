"""Settles on a GPU what can be settled there alone: one command, at most 8 minutes on an H100.

    python -m benchmarks.gpu [--device cuda] [--steps STEP ...] [--out gpu-out] [--tiny]

Each step is a process with a time limit of its own; what it has found by then is kept, whatever happens to it or to a
later one. Needs torch and numpy; where transformers, Triton or pytest are missing, their step says so. Prints tables,
writes gpu.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from aptsched.report.document import machine
from aptsched.support.files import write
from benchmarks.gpu.step import arguments, rows_file
from benchmarks.tables import Row, show

HERE = Path(__file__).parents[2]
# Modules of this package, and the most seconds of each: 8 minutes together.
STEPS = {
    "cuda_tests": 75,
    "kernels": 45,
    "decodes": 30,
    "generate": 70,
    "continuous": 45,
    "calibration": 45,
    "live": 170,
}


def run_step(name: str, options: argparse.Namespace, limit_s: float) -> Row:
    """What came of a step: its rows, the seconds it took, and why it has no more of them."""
    command = [sys.executable, "-m", "benchmarks.gpu.step", name, "--device", options.device, "--out", str(options.out)]
    command += ["--tiny"] if options.tiny else []
    start_s, why = time.perf_counter(), ""
    try:
        done = subprocess.run(command, cwd=HERE, stderr=subprocess.PIPE, text=True, timeout=limit_s, check=False)
        if done.returncode:
            why = f"it ended by {done.returncode}: {done.stderr.strip()[-1000:]}"
    except subprocess.TimeoutExpired:
        why = f"its {limit_s:g} seconds are over"
    return {"rows": found_rows(options.out, name), "seconds": time.perf_counter() - start_s, "why": why}


def found_rows(out: Path, name: str) -> list[Row]:
    """The rows that a step has written, up to the last whole one."""
    try:
        lines = rows_file(out, name).read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def show_step(name: str, found: Row) -> None:
    """The rows of a step as tables, one for each kind of rows, and why there are no more."""
    kinds: dict[tuple[str, ...], list[Row]] = {}
    for row in found["rows"]:
        kinds.setdefault(tuple(row), []).append(row)
    for rows in kinds.values():
        show(f"{name}, {found['seconds']:.0f} s", rows)
        print()
    if found["why"]:
        print(f"{name}: {found['why']}\n")


def device_name(device: str) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device


def parsed(given: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description="All that only a GPU can tell, in at most 8 minutes.",
        epilog="example: python -m benchmarks.gpu --steps kernels decodes",
    )
    parser.add_argument("--steps", nargs="*", choices=STEPS, help="some of them; all by default")
    arguments(parser)
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Runs the steps."""
    options = parsed(given)
    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA here: --device cpu --tiny is accepted")
    options.out = options.out.absolute()
    options.out.mkdir(parents=True, exist_ok=True)
    versions = {**machine(), "torch": torch.__version__, "device": device_name(options.device), "tiny": options.tiny}
    print(", ".join(f"{name} {value}" for name, value in versions.items()), "\n", flush=True)
    found: Row = {}
    for name in options.steps or STEPS:
        rows_file(options.out, name).unlink(missing_ok=True)
        found[name] = run_step(name, options, STEPS[name])
        show_step(name, found[name])
        write(options.out / "gpu.json", json.dumps({**versions, "steps": found}, indent=1))


if __name__ == "__main__":
    main()
