"""Compares us with other programs that do the same work: simulators, exact methods, engines.

    python -m benchmarks.peers [--full] [--parts simulators exact engines] [--sched-sim PYTHON] [--vllm PYTHON] ...

Nothing is installed: each peer is run by the interpreter that its option names, and one that is not found is a line.
docs/peers.md says how to get each, what is compared and what differs. All sides take turns on the same work, several
times over, and the fastest counts. Ratios are our time over theirs: below 1 we are faster. Prints tables, writes
peers.json, and never fails on a figure. Ctrl-C and SIGTERM keep what is done.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np

from aptsched.support.files import write
from benchmarks.peers.engines import Engines
from benchmarks.peers.exact import Exact
from benchmarks.peers.simulators import Simulators
from benchmarks.tables import Row, show

PEERS = ("sched-sim", "vidur", "ortools", "transformers", "vllm", "llama.cpp")
DETAILS = ("start_cpu_s", "predicted")  # of a row, in the file alone


class Comparison(Protocol):
    """A part: measured for as long as it is let, then asked for its rows."""

    faults: dict[str, str]
    versions: dict[str, str]

    def measure(self) -> None:
        """Measure all sides in turn."""
        ...

    def rows(self) -> list[Row]:
        """What has been measured."""
        ...


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    requests: tuple[int, ...]
    instances: int
    batches: tuple[int, ...]
    dtypes: tuple[str, ...]
    rounds: int


SHORT = Extent((1000,), 2, (1, 8), ("fp32",), 2)
FULL = Extent((1000, 10_000), 20, (1, 8, 32), ("fp32", "bf16"), 5)
TITLES = {
    "simulators": "simulators: CPU time beyond a run of one request",
    "exact": "exact methods, n = 1,600: time of core over theirs",
    "engines": "SmolLM2-135M, 128 tokens in, 64 out: our time over theirs",
}


def comparison(part: str, options: argparse.Namespace, extent: Extent, folder: Path) -> Comparison:
    """A part by its name."""
    pythons = {"aptsched": sys.executable, **{name: getattr(options, _field(name)) for name in PEERS}}
    timeout_s, seed = options.timeout, options.seed
    if part == "simulators":
        return Simulators(pythons, extent.requests, extent.rounds, folder, timeout_s, seed)
    if part == "exact":
        return Exact(pythons, extent.instances, extent.rounds, folder, options.time_limit, seed)
    return Engines(pythons, extent.dtypes, extent.batches, extent.rounds, options.threads, folder, timeout_s, seed)


def measured(part: str, found: Comparison) -> tuple[Row, bool]:
    """Measures a part, prints it, and says whether it was stopped."""
    stopped = False
    try:
        found.measure()
    except KeyboardInterrupt:
        stopped = True
        print("stopped: what is done is kept", file=sys.stderr)
    rows = found.rows()
    if rows:
        show(TITLES[part], [{name: value for name, value in row.items() if name not in DETAILS} for row in rows])
    for name, fault in found.faults.items():
        print(f"{name}: {fault}")
    return {"rows": rows, "versions": found.versions, "faults": found.faults}, stopped


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Our simulator, exact methods and engine against those of others, in turn, on the same work.\n"
        "A peer is run by the interpreter of an environment where it is installed; docs/peers.md says how.",
        epilog="example: python -m benchmarks.peers --sched-sim ~/sched-sim/bin/python --parts simulators",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "--full", action="store_true", help="more requests, instances, dtypes, rounds: an hour, not minutes"
    )
    found.add_argument(
        "--parts", nargs="+", choices=TITLES, default=list(TITLES), help="what is compared (default: all)"
    )
    for name in PEERS:
        found.add_argument(
            f"--{name.partition('.')[0]}",
            metavar="PYTHON",
            default=sys.executable,
            help=f"interpreter that has {name} (default: this one)",
        )
    found.add_argument("--rounds", type=int, help="over everything; the fastest counts (default: 2, or 5)")
    found.add_argument("--threads", type=int, default=2, help="of each engine")
    found.add_argument("--time-limit", type=float, default=5.0, metavar="S", help="of one exact answer")
    found.add_argument("--timeout", type=float, default=600.0, metavar="S", help="after which a peer is given up")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for peers.json")
    return found


def _field(name: str) -> str:
    return name.partition(".")[0].replace("-", "_")


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Runs the benchmark."""
    signal.signal(signal.SIGTERM, _stop)  # as Ctrl-C: no peer outlives it
    options = parser().parse_args()
    for name in ("rounds", "threads", "time_limit", "timeout"):
        if (value := getattr(options, name)) is not None and not value > 0:
            parser().error(f"--{name.replace('_', '-')}: {value} is not accepted; above 0 is")
    extent = FULL if options.full else SHORT
    if options.rounds:
        extent = replace(extent, rounds=options.rounds)
    machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    document: dict[str, Any] = {**machine, "options": {name: str(value) for name, value in vars(options).items()}}
    options.out.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            document[part], stopped = measured(part, comparison(part, options, extent, Path(folder)))
        write(options.out / "peers.json", json.dumps(document, indent=1))
        if stopped:
            break


if __name__ == "__main__":
    main()
