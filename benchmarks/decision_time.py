"""Times one decision of the greedy, the exact core, Algorithm 1 in numpy and in Python, and general solvers.

    python -m benchmarks.decision_time [--snapshots 200] [--rounds 5] [--solver-snapshots 5] [--seed 0]

Every method sees the same snapshots of a backlogged queue with ShareGPT-like lengths, in turn; a problem is made before
the clock starts, and nothing is kept between calls. There are several rounds over everything; in each the online
methods run three times in a row on each snapshot, and of all these calls the fastest counts: an answer takes the same
steps each time, so any further time is the machine's other work. The times of all calls are printed too. The general
solvers, a hundred times slower, run once on a few snapshots. Prints tables, writes decision_time.json, and never fails
on a figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from aptsched import BatchProblem, greedy
from aptsched.report import table
from aptsched.report.table import Column, Section
from aptsched.support.checks import Floats, Ints
from aptsched.support.files import write
from benchmarks import plain, vectorised
from benchmarks.families import Setting, settings
from solvers import core
from solvers.methods import find_method
from solvers.solution import Status

GENERAL = ("cpsat", "mathopt-scip", "mathopt-highs", "pulp-cbc", "pulp-highs", "milp")
METHODS = ("greedy", "numpy", "plain", "core")  # in order of the table; two of them are Algorithm 1
COLUMNS = (
    Column("snapshots", left=True),
    *(
        Column(of, name, min_width=6)
        for name in ("greedy", "Alg. 1, numpy", "Alg. 1, plain", "core")
        for of in ("median", "p99")
    ),
    Column("proved", "core"),
    *(Column(name, "worst gap", min_width=6) for name in ("greedy", "core")),
)
IN_A_ROW = 3  # calls of an online method
Row = dict[str, Any]
Times = dict[str, Floats]  # seconds of each method


class SettingTimes:
    """The snapshots of a setting, and what the methods have taken on them so far.

    Parameters
    ----------
    setting : Setting
    seed : int
    num_solved : int
        How many of the snapshots the general solvers get.

    Attributes
    ----------
    online_s : dict of list of float array
        Seconds of each online method, [calls in a row, snapshots], for each round.
    general_s : dict of list of float
        Seconds of each general solver on each snapshot that it has solved.
    """

    def __init__(self, setting: Setting, seed: int, num_solved: int) -> None:
        self.setting, self.problems = setting, list(setting.problems(seed))
        self._calls = [calls(problem, setting) for problem in self.problems]
        self._solved = self.problems[:num_solved]
        self.online_s: dict[str, list[Floats]] = {name: [] for name in self._calls[0]}
        self.general_s: dict[str, list[float]] = {name: [] for name in GENERAL}

    def round(self, number: int, rounds: int, console: Console) -> None:
        """Measure round `number` of `rounds`; a round that is broken off leaves no figures."""
        found = {name: np.empty((IN_A_ROW, len(self._calls))) for name in self.online_s}
        title = f"{self.setting.name}, round {number + 1} of {rounds}"
        for at, each in enumerate(track(self._calls, title, console=console, transient=True)):
            for name, call in each.items():
                for again in range(IN_A_ROW):
                    start = time.perf_counter()
                    call()
                    found[name][again, at] = time.perf_counter() - start
        share = self._solved[number::rounds]
        solved = [
            {name: find_method(name).solve(problem, time_limit_s=60.0).seconds for name in GENERAL} for problem in share
        ]
        for name, seconds in found.items():
            self.online_s[name].append(seconds)
        for taken in solved:
            for name, seconds_of_one in taken.items():
                self.general_s[name].append(seconds_of_one)

    def row(self) -> Row:
        """The figures of all rounds that were complete."""
        every = {name: np.concatenate(rounds) for name, rounds in self.online_s.items()}
        fastest = {name: seconds.min(axis=0) for name, seconds in every.items()}
        general_ms = {name: spread(taken) for name, taken in self.general_s.items() if taken}
        best_ms = min((ms["median"] for ms in general_ms.values()), default=None)
        return {
            **dataclasses.asdict(self.setting),
            "rounds": len(self.online_s["greedy"]),
            "ms": {name: spread(seconds) for name, seconds in fastest.items()},
            "all_calls_ms": {name: spread(seconds) for name, seconds in every.items()},
            "general_ms": general_ms,
            **answers(self.problems, self.setting),
            "plain_over_greedy": ratio(fastest, "plain", "greedy"),
            "numpy_over_greedy": ratio(fastest, "numpy", "greedy"),
            "greedy_over_memory_alone": ratio(fastest, "greedy", "greedy_with_memory_alone"),
            "best_general_over_core": None if best_ms is None else best_ms / spread(every["core"])["median"],
        }


def calls(problem: BatchProblem, setting: Setting) -> dict[str, Callable[[], Any]]:
    """The online methods on one snapshot, in the order in which they take turns."""
    found: dict[str, Callable[[], Any]] = {"greedy": partial(greedy, problem)}
    if setting.max_tokens is not None:
        alone = dataclasses.replace(problem, max_tokens=None, max_seqs=None)
        found["greedy_with_memory_alone"] = partial(greedy, alone)
    if not setting.correlated:
        pending_s, blocks, capacity, penalty_s_per_block = definition_1(problem)
        found["plain"] = partial(plain.algorithm1, pending_s.tolist(), blocks.tolist(), capacity, penalty_s_per_block)
        found["numpy"] = partial(vectorised.algorithm1, pending_s, blocks, capacity, penalty_s_per_block)
    found["core"] = partial(core.solve, problem, max_work=setting.max_work)
    return found


def answers(problems: Sequence[BatchProblem], setting: Setting) -> Row:
    """The gaps of the greedy and the core, and how many of the core's answers are proved optimal."""
    selections = [greedy(problem) for problem in problems]
    rates = [selection.multipliers for selection in selections]
    solutions = [core.solve(problem, max_work=setting.max_work) for problem in problems]
    certified = [solution.selection for solution in solutions if solution.selection is not None]
    return {
        "greedy_certified_gap": worst([selection.gap for selection in selections]),
        "core_certified_gap": worst([selection.gap for selection in certified]),
        "core_share_proved": float(np.mean([solution.status is Status.OPTIMAL for solution in solutions])),
        "share_with_both_side_constraints_binding": float(
            np.mean([rate.per_token_s > 0 and rate.per_seq_s > 0 for rate in rates])
        ),
    }


def worst(gaps: list[float]) -> dict[str, float]:
    """Mean and largest of some gaps."""
    return {"mean": float(np.mean(gaps)), "worst": max(gaps)}


def definition_1(problem: BatchProblem) -> tuple[Floats, Ints, int, float]:
    """A hybrid problem as Algorithm 1 takes it: pending times and blocks, [n], capacity, penalty of a block."""
    pending, hidden = problem.values[0].tolist()
    penalty_s_per_block = (pending - hidden) / int(problem.weights[0, 0])
    return problem.values[:, 0], problem.weights[:, 0], problem.capacity, penalty_s_per_block


def spread(seconds: Floats | list[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds."""
    return {"median": 1e3 * float(np.median(seconds)), "p99": 1e3 * float(np.quantile(seconds, 0.99))}


def ratio(fastest: Times, over: str, under: str) -> float | None:
    """The median, over the snapshots, of one method's time over another's; None if one of them was not measured."""
    if over not in fastest or under not in fastest:
        return None
    return float(np.median(fastest[over] / fastest[under]))


def sections(rows: list[Row]) -> list[Section]:
    """The rows of the table."""
    return [Section("fastest call on each snapshot: median and p99 over the snapshots", [_cells(row) for row in rows])]


def _cells(row: Row) -> list[str]:
    times = [row["ms"].get(name) for name in METHODS]
    gaps = row["greedy_certified_gap"]["worst"], row["core_certified_gap"]["worst"]
    return [
        f"{row['num_snapshots']} x {row['name']}",
        *(table.duration(ms[of] / 1e3) if ms else "-" for ms in times for of in ("median", "p99")),
        table.percent(row["core_share_proved"]),
        *map(table.gap, gaps),
    ]


def pair(times: dict[str, float] | None) -> str:
    """Text "median / p99" of times; a dash where there are none."""
    return "-" if times is None else f"{times['median']:.2f} / {times['p99']:.2f}"


def claims(rows: list[Row]) -> Iterator[str]:
    """Lines below the table: ratios of times within the run, and the times of all calls."""
    for row in rows:
        name, every = row["name"], row["all_calls_ms"]
        each = ", ".join(f"{method} {pair(every[method])}" for method in METHODS if method in every)
        yield f"{name}: all calls took {each} ms"
        if row["plain_over_greedy"] and row["max_tokens"] is None:
            times = f"{row['numpy_over_greedy']:.2f} x in numpy, {row['plain_over_greedy']:.1f} x in plain Python"
            yield f"{name}: Algorithm 1 (no certificate) takes, of the greedy with one, {times}"
        if row["best_general_over_core"]:
            each = ", ".join(f"{solver} {pair(ms)}" for solver, ms in row["general_ms"].items())
            times = row["best_general_over_core"]
            yield f"{name}: the best general solver takes {times:.0f} x the core ({each} ms)"
        if row["greedy_over_memory_alone"]:
            slower, alone = row["greedy_over_memory_alone"], pair(row["ms"]["greedy_with_memory_alone"])
            both = row["share_with_both_side_constraints_binding"]
            yield f"{name}: greedy {slower:.1f} x that with memory alone, {alone} ms; both bind in {both:.0%}"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decision_time",
        description="Time of one decision; every method on the same snapshots.",
        epilog="example: python -m benchmarks.decision_time --snapshots 50 --solver-snapshots 2",
    )
    parser.add_argument("--snapshots", type=int, default=200, help="snapshots at each load (a tenth elsewhere)")
    parser.add_argument("--rounds", type=int, default=5, help="over everything; the fastest call counts")
    parser.add_argument("--solver-snapshots", type=int, default=5, help="of these, how many the general solvers get")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for decision_time.json")
    options = parser.parse_args()
    for name, least in (("snapshots", 1), ("rounds", 1), ("solver_snapshots", 0), ("seed", 0)):
        if (value := getattr(options, name)) < least:
            parser.error(f"--{name.replace('_', '-')}: {value} is not accepted; at least {least} is")
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    SettingTimes(Setting("warm-up", 400, 0.25, 3, 2048, 48), options.seed, 1).round(0, 1, console)
    measured = []
    for setting in settings(options.snapshots):
        general = setting.max_tokens is None and not setting.correlated and setting.num_requests == 1600
        measured.append(SettingTimes(setting, options.seed, options.solver_snapshots if general else 0))
    try:
        for number in range(options.rounds):
            for each in measured:
                each.round(number, options.rounds, console)
    except KeyboardInterrupt:
        console.print("stopped: what is done is kept")
    rows = [each.row() for each in measured if each.online_s["greedy"]]
    table.show(COLUMNS, sections(rows), [], sys.stdout)
    for line in claims(rows):
        print(line)
    machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    write(options.out / "decision_time.json", json.dumps({**machine, "seed": options.seed, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
