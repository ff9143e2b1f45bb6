"""What one decision costs: the greedy, the exact core, Algorithm 1 in plain Python and the general solvers, in one run.

    python -m benchmarks.decision_time [--snapshots 200] [--solver-snapshots 5] [--seed 0] [--out bench-out]

Every method sees the same snapshots of a backlogged queue with ShareGPT-like lengths, in turn; a problem is made before
the clock starts, and nothing is kept between calls. The online methods run three times in a row on a snapshot and the
middle time counts; the general solvers, a hundred times slower, run once. Prints tables, writes decision_time.json, and
never fails on a figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from aptsched import BatchProblem, greedy
from aptsched.files import write
from aptsched.workload import generate, snapshots
from benchmarks.plain import algorithm1
from solvers import core
from solvers.methods import find
from solvers.solution import Status

GENERAL = ("cpsat", "mathopt-scip", "mathopt-highs", "pulp-cbc", "pulp-highs", "milp")
LIMITED_WORK = 30_000  # of the core where both side constraints bind, or values follow weights
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Setting:
    """A family of snapshots."""

    name: str
    num_requests: int
    load: float
    num_snapshots: int
    max_tokens: int | None = None
    max_seqs: int | None = None
    correlated: bool = False
    max_work: int | None = None

    def problems(self, seed: int) -> Iterator[BatchProblem]:
        """The snapshots, the same for the same seed."""
        rng = np.random.default_rng([seed, self.num_requests])
        trace = generate("sharegpt", 20_000, rng)
        lengths = dataclasses.replace(trace, arrived_at_s=None)
        for problem in snapshots(
            lengths,
            self.num_snapshots,
            self.num_requests,
            self.load,
            rng,
            max_tokens=self.max_tokens,
            max_seqs=self.max_seqs,
        ):
            yield strongly_correlated(problem) if self.correlated else problem


def strongly_correlated(problem: BatchProblem) -> BatchProblem:
    """Values that are the weight and a constant, in seconds: hard for methods that live on a small core."""
    weights = problem.weights
    return dataclasses.replace(problem, values=np.asarray(weights + 0.1 * float(weights.max()), np.float64))


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, the middle one of three, and its answer."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[1], answer


def measure(setting: Setting, seed: int, num_solved: int, console: Console) -> Row:
    """One setting: times of all methods on the same snapshots, in turn."""
    greedy_s, memory_s, plain_s, core_s, greedy_gap, core_gap = [], [], [], [], [], []
    proved = binding = 0
    general: dict[str, list[float]] = {name: [] for name in GENERAL}
    problems = setting.problems(seed)
    progress = track(problems, setting.name, setting.num_snapshots, console=console, transient=True)
    for number, problem in enumerate(progress):
        seconds, selection = timed(lambda p=problem: greedy(p))  # type: ignore[misc]
        greedy_s.append(seconds)
        greedy_gap.append(selection.gap)
        if setting.max_tokens is not None:
            alone = dataclasses.replace(problem, max_tokens=None, max_seqs=None)
            memory_s.append(timed(lambda p=alone: greedy(p))[0])  # type: ignore[misc]
        multipliers = selection.multipliers
        binding += multipliers.per_token_s > 0 and multipliers.per_seq_s > 0
        if not setting.correlated:
            lists = definition_1(problem)
            plain_s.append(timed(lambda a=lists: algorithm1(*a))[0])  # type: ignore[misc]
        seconds, solution = timed(lambda p=problem: core.solve(p, max_work=setting.max_work))  # type: ignore[misc]
        core_s.append(seconds)
        core_gap.append(solution.selection.gap)
        proved += solution.status is Status.OPTIMAL
        if number < num_solved:
            for name, taken in general.items():
                taken.append(find(name).solve(problem, time_limit_s=60.0).seconds)
    fastest = min((float(np.median(taken)) for taken in general.values() if taken), default=None)
    return {
        **dataclasses.asdict(setting),
        "greedy_ms": spread(greedy_s),
        "greedy_with_memory_alone_ms": spread(memory_s),
        "plain_ms": spread(plain_s),
        "core_ms": spread(core_s),
        "greedy_certified_gap": {"mean": float(np.mean(greedy_gap)), "worst": max(greedy_gap)},
        "core_certified_gap": {"mean": float(np.mean(core_gap)), "worst": max(core_gap)},
        "core_share_proved": proved / setting.num_snapshots,
        "share_with_both_side_constraints_binding": binding / setting.num_snapshots,
        "general_ms": {name: spread(taken) for name, taken in general.items()},
        "plain_over_greedy": ratio(plain_s, greedy_s),
        "greedy_over_memory_alone": ratio(greedy_s, memory_s),
        "best_general_over_core": None if fastest is None else fastest / float(np.median(core_s)),
    }


def definition_1(problem: BatchProblem) -> tuple[list[float], list[int], int, float]:
    """A hybrid problem as the lists that plain Algorithm 1 takes."""
    pending, hidden = problem.values[0].tolist()
    penalty_s_per_block = (pending - hidden) / int(problem.weights[0, 0])
    return problem.values[:, 0].tolist(), problem.weights[:, 0].tolist(), problem.capacity, penalty_s_per_block


def spread(seconds: list[float]) -> dict[str, float] | None:
    """Median and 99th percentile in milliseconds."""
    if not seconds:
        return None
    return {"median": 1e3 * float(np.median(seconds)), "p99": 1e3 * float(np.quantile(seconds, 0.99))}


def ratio(over: list[float], under: list[float]) -> float | None:
    """The median over the snapshots, each of which both were timed on in the same spell of the machine."""
    return float(np.median(np.divide(over, under))) if over and under else None


def settings(num_snapshots: int) -> list[Setting]:
    """What is measured."""
    few = max(1, num_snapshots // 10)
    memory = [Setting(f"n=1600, {load:.0%}", 1600, load, num_snapshots) for load in (0.1, 0.25, 0.5)]
    large = [Setting(f"n=10000, {load:.0%}", 10_000, load, few) for load in (0.1, 0.25)]
    sides = [
        Setting(f"n={n}, T={tokens}, B={seqs}", n, 0.25, few, tokens, seqs, max_work=LIMITED_WORK)
        for n, tokens, seqs in ((400, 2048, 48), (800, 4096, 96), (1600, 8192, 192), (1600, 16_384, 256))
    ]
    correlated = [Setting("n=1600, value = weight + c", 1600, 0.25, few, correlated=True, max_work=LIMITED_WORK)]
    return memory + large + sides + correlated


def table(rows: list[Row]) -> Table:
    """The rows as a table."""
    shown = Table(title="one decision, ms (median / p99); share proved by the core; worst certified gap")
    for column in ("snapshots", "greedy", "plain Alg. 1", "core", "proved", "gap, greedy", "gap, core"):
        shown.add_column(column, no_wrap=True)
    for row in rows:
        gaps = row["greedy_certified_gap"]["worst"], row["core_certified_gap"]["worst"]
        shown.add_row(
            f"{row['num_snapshots']} x {row['name']}",
            *(pair(row[name]) for name in ("greedy_ms", "plain_ms", "core_ms")),
            f"{row['core_share_proved']:.0%}",
            *(f"{gap:.1e}" for gap in gaps),
        )
    return shown


def pair(times: dict[str, float] | None) -> str:
    """Median / p99."""
    return "-" if times is None else f"{times['median']:.2f} / {times['p99']:.2f}"


def claims(rows: list[Row]) -> Iterator[str]:
    """The ratios within the run, a line each."""
    for row in rows:
        if row["plain_over_greedy"] and row["max_tokens"] is None:
            times = row["plain_over_greedy"]
            yield f"{row['name']}: plain Algorithm 1 (no certificate) takes {times:.1f} x the greedy with one"
        if row["best_general_over_core"]:
            each = ", ".join(f"{name} {pair(ms)}" for name, ms in row["general_ms"].items() if ms)
            times = row["best_general_over_core"]
            yield f"{row['name']}: the best general solver takes {times:.0f} x the core ({each} ms)"
        if row["greedy_over_memory_alone"]:
            slower, alone = row["greedy_over_memory_alone"], pair(row["greedy_with_memory_alone_ms"])
            both = row["share_with_both_side_constraints_binding"]
            yield f"{row['name']}: greedy {slower:.1f} x that with memory alone, {alone} ms; both bind in {both:.0%}"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decision_time",
        description="Time of one decision; every method on the same snapshots.",
        epilog="example: python -m benchmarks.decision_time --snapshots 50 --solver-snapshots 2",
    )
    parser.add_argument("--snapshots", type=int, default=200, help="snapshots at each load (a tenth elsewhere)")
    parser.add_argument("--solver-snapshots", type=int, default=5, help="of these, how many the general solvers get")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for decision_time.json")
    options = parser.parse_args()
    for name in ("snapshots", "solver_snapshots", "seed"):
        if getattr(options, name) < (name == "snapshots"):
            parser.error(f"--{name.replace('_', '-')}: {getattr(options, name)} is not accepted")
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    rows: list[Row] = []
    first = Setting("warm-up", 400, 0.25, 3, 2048, 48)
    measure(first, options.seed, 1, console)
    try:
        for setting in settings(options.snapshots):
            plain = setting.max_tokens is None and not setting.correlated and setting.num_requests == 1600
            rows.append(measure(setting, options.seed, options.solver_snapshots if plain else 0, console))
    except KeyboardInterrupt:
        console.print("stopped: what is done is kept")
    Console(width=None if sys.stdout.isatty() else 120).print(table(rows))
    for line in claims(rows):
        print(line)
    machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    write(options.out / "decision_time.json", json.dumps({**machine, "seed": options.seed, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
