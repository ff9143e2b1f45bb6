"""Search for small instances on which an online method is furthest from the optimum.

`python -m proofs.worst_case --seconds 600 --seed 1 --out DIR` starts from the instances kept beside this file.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from aptsched.problem import instance
from aptsched.problem.batch_problem import BatchProblem
from aptsched.report.figure import require
from aptsched.support import files
from aptsched.support.checks import Ints
from proofs.enumeration import enumerate_all
from proofs.online import ONLINE, Online
from proofs.small_instances import InstanceBatch

MAX_REQUESTS = 6
LARGEST = 5000  # of values, weights and tokens
PATIENCE = 2000  # after so many changes in a row without a worse ratio another start is drawn
TICKS = (1, 2, 3, 4, 6, 10, 100)
NAMES = ("values", "values", "weights", "weights", "tokens", "limits")  # what is changed, each as often as it is named
KEPT = Path(__file__).parent / "instances"


@dataclass(frozen=True, eq=False)
class Candidate:
    """An instance in whole numbers, as the search changes it.

    Attributes
    ----------
    values, weights : int array, [n, k]
        For methods of definition 1: pending times and pairs of blocks, [n, 1].
    tokens : int array, [n]
    limits : int array, [3]
        Blocks, tokens, sequences.
    penalty : int
        For methods of definition 1: what a hidden form costs per block.
    """

    values: Ints
    weights: Ints
    tokens: Ints
    limits: Ints
    penalty: int

    def problem(self, method: Online) -> BatchProblem:
        """The instance with the limits that the method is searched with."""
        values, weights = self.values, self.weights
        if method.definition_1:
            values = np.concatenate([values, values - 2 * self.penalty * weights], axis=1)
            weights = np.concatenate([2 * weights, weights], axis=1)
        blocks, tokens, seqs = self.limits.tolist()
        return BatchProblem(
            values=values,
            weights=weights,
            capacity=blocks,
            num_tokens=self.tokens if method.side_limits > 0 else None,
            max_tokens=tokens if method.side_limits > 0 else None,
            max_seqs=seqs if method.side_limits > 1 else None,
        )


def state_of(problem: BatchProblem, method: Online) -> Candidate:
    """The candidate that gives this instance."""
    values, weights, penalty = problem.values.astype(np.int64), problem.weights, 0
    if method.definition_1:
        penalty = int(values[0, 0] - values[0, 1]) // int(weights[0, 0])
        values, weights = values[:, :1], weights[:, 1:]
    tokens = np.ones(len(values), np.int64) if problem.num_tokens is None else problem.num_tokens
    limits = np.array([problem.capacity, problem.max_tokens or 1, problem.max_seqs or 1])
    return Candidate(values, weights, tokens, limits, penalty)


def outcome(problem: BatchProblem, method: Online) -> tuple[int, int]:
    """The values of the optimum and of the method's answer, which are whole; an answer that breaks a limit counts 0."""
    form = method.answer(problem)
    served = np.flatnonzero(form)
    answer = int(problem.values[served, form[served] - 1].sum())
    kept = problem.weights[served, form[served] - 1].sum() <= problem.capacity
    limits = [None if limit is None else np.array([limit]) for limit in (problem.max_tokens, problem.max_seqs)]
    tokens = None if problem.num_tokens is None else problem.num_tokens[None]
    values, capacity = problem.values.astype(np.int64)[None], np.array([problem.capacity])
    best = enumerate_all(InstanceBatch(values, 1.0, problem.weights[None], capacity, tokens, *limits)).optimum
    return int(best[0]), answer if kept else 0


def shortfall(state: Candidate, method: Online) -> Fraction:
    """Optimum over answer; 0 where the answer is worth nothing, for such instances are not searched for."""
    best, answer = outcome(state.problem(method), method)
    return Fraction(best, answer) if answer > 0 else Fraction(0)


def drawn(method: Online, rng: np.random.Generator) -> Candidate:
    """A random candidate; some have values near their weights, or all equal, so that no request stands out."""
    n = int(rng.integers(2, MAX_REQUESTS + 1))
    k = 1 if method.definition_1 else int(rng.integers(1, 3))
    most = int(rng.choice([8, 40, 200]))
    weights, tokens = rng.integers(1, most, (n, k)), rng.integers(0, most, n)
    values = (weights, rng.integers(1, most, (n, k)), np.full((n, k), most))[rng.integers(3)] + rng.integers(
        0, 2, (n, k)
    )
    limits = np.array([2 * most, most, rng.integers(1, n + 1)])
    return Candidate(values, weights, tokens, limits, int(rng.integers(0, 3)))


def changed(state: Candidate, rng: np.random.Generator) -> Candidate:
    """A similar candidate: some numbers moved, scaled, or set to others or sums of them, or a request copied."""
    arrays = {name: getattr(state, name).copy() for name in ("values", "weights", "tokens", "limits")}
    for _ in range(int(rng.integers(1, 4))):
        others = rng.choice(np.concatenate([array.ravel() for array in arrays.values()]), 2)
        array = arrays[NAMES[rng.integers(len(NAMES))]].reshape(-1)
        at, step = rng.integers(len(array)), int(rng.integers(-1, 2))
        number = int(array[at])
        near = (
            number + (step or 10),
            number * 2,
            number // 2,
            others[0] + step,
            others.sum() + step,
            -np.diff(others)[0],
        )
        array[at] = np.clip(near[rng.integers(len(near))], 0, LARGEST)
    if rng.random() < 0.1:
        i, j = rng.integers(len(state.tokens), size=2)
        for name in ("values", "weights", "tokens"):
            arrays[name][i] = arrays[name][j]
    penalty = state.penalty + int(rng.random() < 0.05) * int(rng.integers(-1, 2))
    return replace(state, **arrays, penalty=max(0, penalty))


def is_fair(state: Candidate, method: Online) -> bool:
    """Whether every form fits alone: instances where a misfit stops the method are not searched for."""
    heaviest = int(state.weights.max()) * (2 if method.definition_1 else 1)
    lightest = 1 if method.definition_1 else 0
    limited = bool((state.tokens <= state.limits[1]).all()) and state.limits[2] > 0
    return limited and bool(state.weights.min() >= lightest) and heaviest <= state.limits[0]


def start(method: Online, rng: np.random.Generator) -> Candidate:
    """A random fair candidate."""
    while not is_fair(state := drawn(method, rng), method):
        pass
    return state


def search(
    method: Online, given: Candidate, proceed: Callable[[], bool], rng: np.random.Generator
) -> tuple[Fraction, Candidate]:
    """The worst candidate found, searching from the one given and then from random ones.

    Parameters
    ----------
    method : Online
    given : Candidate
    proceed : callable
        Called before each change; the search ends when it says False.
    rng : numpy.random.Generator
    """
    worst, best = shortfall(given, method), given
    current, at, idle = given, worst, 0
    while proceed():
        if idle > PATIENCE:
            current, idle = start(method, rng), 0
            at = shortfall(current, method)
        near = changed(current, rng)
        found = shortfall(near, method) if is_fair(near, method) else Fraction(0)
        idle = 0 if found > at else idle + 1
        if found >= at > 0 or found > at:
            current, at = near, found
        if found > worst:
            worst, best = found, near
    return worst, best


def before(end_s: float) -> Callable[[], bool]:
    """A function that says whether it is before a time of `time.monotonic`."""
    return lambda: time.monotonic() < end_s


def kept(method: Online, rng: np.random.Generator) -> Candidate:
    """The candidate that is kept for a method; a random one where none is."""
    path = KEPT / f"{method.name}.json"
    return state_of(instance.load(path), method) if path.exists() else start(method, rng)


def entry(method: Online, state: Candidate) -> dict[str, object]:
    """The entry of a candidate in index.json."""
    best, answer = outcome(state.problem(method), method)
    return {
        "method": method.name,
        "file": f"{method.name}.json",
        "optimum_s": best,
        "answer_s": answer,
        "ratio": best / answer,
        "factor": method.factor,
    }


def plot(entries: Sequence[dict[str, Any]]) -> bytes:
    """The worst ratio found of each method beside the factor proved, PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.8 + 0.42 * len(entries)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    names = [str(found["method"]) for found in entries]
    axes.barh(names, [found["ratio"] for found in entries], color="C0", alpha=0.8, label="worst found")
    for row, found in enumerate(entries):
        axes.annotate(f"{found['ratio']:.5g}", (found["ratio"], row), (3, -3), textcoords="offset points", fontsize=8)
    proved = [(found["factor"], row) for row, found in enumerate(entries) if found["factor"] is not None]
    axes.plot([factor for factor, _ in proved], [row for _, row in proved], "k|", markersize=16, label="factor proved")
    axes.set(xscale="log", xlabel="optimum / answer", xlim=(1, 1.6 * max(found["ratio"] for found in entries)))
    axes.set_xticks(TICKS, list(map(str, TICKS)))
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.legend(fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Search for each method in turn; writes the instances, index.json and worst_case.png."""
    parser = argparse.ArgumentParser(prog="python -m proofs.worst_case", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="for all methods together (default 60)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the generator (default 0)")
    parser.add_argument("--out", required=True, metavar="DIR", help="where to write what is found")
    given = parser.parse_args(arguments)
    require()
    directory, rng = files.make_directory(given.out), np.random.default_rng(given.seed)
    entries = []
    for method in ONLINE:
        proceed = before(time.monotonic() + given.seconds / len(ONLINE))
        _, state = search(method, kept(method, rng), proceed, rng)
        instance.save(state.problem(method), directory / f"{method.name}.json")
        entries.append(entry(method, state))
        factor = "no factor" if method.factor is None else f"factor {method.factor}"
        print(f"{method.name:<24} {entries[-1]['ratio']:8.4f}  {factor}", flush=True)
    rows = ",\n".join(json.dumps(found) for found in entries)
    files.write(directory / "index.json", f"[\n{rows}\n]\n")
    files.write(directory / "worst_case.png", plot(entries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
