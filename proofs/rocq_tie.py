"""Compares the greedy that the theorems are about, run by Coq, with the program's: both must reach one objective."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from aptsched.knapsack.greedy import greedy
from aptsched.problem.batch_problem import BatchProblem
from proofs.rocq_build import LIBRARY, RocqError, compile_file

PLAIN = """import pickle, sys
from proofs.rocq_tie import differing
for line in differing(*pickle.load(sys.stdin.buffer)):
    print(line)"""
NEEDED = ("Problem.v", "Hull.v", "Greedy.v", "Evaluate.v")  # the files that have to be compiled
AT_ONCE = 250  # instances in a command: Coq's parser is recursive
EIGHTHS = 8  # values are multiples of 1/8: floats are exact


def random_problem(rng: np.random.Generator) -> BatchProblem:
    """Up to 8 requests of 1 to 3 forms, weights from 0 to beyond the capacity, some values below 0; half have ties."""
    n, k = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    most_value, most_weight = int(rng.choice([2, 4, 10, 100, 1000])), int(rng.choice([2, 4, 10, 40]))
    weights = rng.integers(int(rng.random() < 0.5), most_weight + 1, (n, k))
    values = rng.integers(-1, most_value + 1, (n, k))
    if rng.random() < 0.5:  # equal slopes
        values = weights * rng.integers(1, 3, (n, k)) + (rng.random((n, k)) < 0.1)
    most_room = int(weights.max(axis=1).sum()) if rng.random() < 0.7 else most_weight
    capacity = int(rng.integers(0, most_room + 1))
    return BatchProblem(values / (EIGHTHS if rng.random() < 0.3 else 1), weights, capacity)


def random_problems(count: int, seed: int) -> list[BatchProblem]:
    """So many random problems, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [random_problem(rng) for _ in range(count)]


def proved_objectives(problems: Sequence[BatchProblem], directory: Path) -> list[Fraction]:
    """The value that Coq's kernel computes for `Greedy.greedy`; the directory has `NEEDED`, compiled."""
    commands = [
        f"Eval vm_compute in (map objective [{';'.join(map(_numbers, problems[start : start + AT_ONCE]))}])%Z."
        for start in range(0, len(problems), AT_ONCE)
    ]
    header = f"From Coq Require Import List ZArith. From {LIBRARY} Require Import Evaluate. Import ListNotations."
    (directory / "Instances.v").write_text("\n".join([header, "Set Printing Depth 1000000.", *commands]))
    printed = compile_file(directory, "Instances.v")
    pairs = re.findall(r"\(\s*(-?\d+),\s*(\d+)\)", printed)
    if len(pairs) != len(problems):
        raise RocqError(f"Instances.v: {len(pairs)} answers to {len(problems)} instances")
    return [Fraction(int(numerator), int(denominator)) for numerator, denominator in pairs]


def _numbers(problem: BatchProblem) -> str:
    """An instance as a list that `Evaluate.objective` reads."""
    forms = np.stack([problem.weights, (problem.values * EIGHTHS).astype(np.int64)], axis=2)
    return str([problem.capacity, problem.num_requests, problem.num_forms, *forms.ravel().tolist()]).replace(",", ";")


def differing(problems: Sequence[BatchProblem], proved: Sequence[Fraction]) -> list[str]:
    """The instances on which the program's greedy has another objective, in words."""
    return [
        f"values {problem.values.tolist()}, weights {problem.weights.tolist()}, capacity {problem.capacity}: "
        f"proved {expected}, program {found}"
        for problem, expected in zip(problems, proved, strict=True)
        if (found := Fraction(greedy(problem, fill=False).objective_s)) != expected
    ]


def differing_in_plain_python(problems: Sequence[BatchProblem], proved: Sequence[Fraction]) -> list[str]:
    """The same where the program's loops run as they stand, in a process of its own."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    given = pickle.dumps((problems, proved))
    done = subprocess.run([sys.executable, "-c", PLAIN], input=given, env=environment, capture_output=True, check=True)
    return done.stdout.decode().splitlines()
