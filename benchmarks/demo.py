"""Sums up `make demo` in three lines, from the files that it wrote.

python -m benchmarks.demo [demo-out]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from aptsched.report.table import duration, percent
from engine.calibration.pace import is_off

SOLVER = "cpsat"  # the reference that the core is compared with


def gap_line(document: dict[str, Any]) -> str:
    """The greedy's gap and the core's time, of all instances of a gap study together."""
    last = {row["method"]: row for row in document["summary"]}  # the rows of all sizes come last
    greedy, core, solver = (last[name] for name in ("greedy", "core", SOLVER))
    times = solver["seconds_median"] / core["seconds_median"]
    return (
        f"Batches: greedy {greedy['optimum_gap_mean']:.2%} off in {duration(greedy['seconds_median'])}; "
        f"core exact in {duration(core['seconds_median'])}, CP-SAT {times:.0f}x as long."
    )


def run_line(document: dict[str, Any]) -> str:
    """The share of requests that attain for each policy, and whether the machine was too busy for it."""
    rows = document["summary"]
    shares = ", ".join(f"{row['policy']} {percent(row['attained'])}" for row in rows)
    busy = any(row["pace"] is not None and is_off(row["pace"]) for row in rows)
    return f"Live, every token by its deadline: {shares}{' (machine busy, see above)' if busy else ''}."


def main() -> None:
    """Prints the lines."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo",
        description="What `make demo` has seen, in three lines.",
        epilog="example: python -m benchmarks.demo demo-out",
    )
    parser.add_argument("directory", type=Path, nargs="?", default=Path("demo-out"), help="where the demo has written")
    directory = parser.parse_args().directory
    gap, run = (json.loads((directory / name / "results.json").read_text()) for name in ("gap", "run"))
    print(gap_line(gap))
    print(run_line(run))
    print(f"Next: {directory}/gap/gap.png, {directory}/run/timeline.png; .venv/bin/aptsched --help")


if __name__ == "__main__":
    main()
