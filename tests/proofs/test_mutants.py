"""The checks have teeth: each classical mistake, made in a copy of the source, is caught by a short run of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aptsched
import proofs
import solvers

Replacement = tuple[str, str, str]  # file, text that stands there once, and what to put there

MUTANTS: dict[str, list[Replacement]] = {
    "fallback dropped": [
        ("aptsched/knapsack/greedy.py", "if single is None or not", "if True or not"),
    ],
    "hull skipped": [("aptsched/knapsack/increments.py", "if is_better:", "if slope[at] == 0:")],
    "ceil for floor": [("aptsched/knapsack/residual.py", "room = free[0] // unit", "room = -(-free[0] // unit)")],
    "break for skip": [
        ("aptsched/knapsack/fill.py", "if extra <= room[0] and", "if extra < math.inf and"),
        (
            "aptsched/knapsack/fill.py",
            "more_seqs > room[2]:\n                break",
            "more_seqs > room[2]:\n                return tied",
        ),
    ],
    "capacity off by one": [
        (
            "aptsched/knapsack/residual.py",
            "free = alone = problem.limits",
            "free = alone = (problem.capacity + 1, *problem.limits[1:])",
        ),
    ],
    "multiplier sign": [("aptsched/knapsack/greedy.py", "Multipliers(per_unit", "Multipliers(-per_unit")],
    "bound rounded down": [("aptsched/problem/certificate.py", "+ slack, math.inf)", "- slack, -math.inf)")],
    "reduction too keen": [
        ("solvers/core/alternatives.py", "    gap += rounding\n", "    gap /= 4\n"),
    ],
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages as they are, to be changed."""
    for package in (aptsched, solvers, proofs):
        assert package.__file__ is not None
        source = Path(package.__file__).parent
        shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def fuzz(copy: Path, num_instances: int) -> subprocess.CompletedProcess[str]:
    """The checks against the copy, in a process of its own."""
    command = [sys.executable, "-m", "proofs.fuzz", "--instances", str(num_instances), "--seed", "1"]
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "NUMBA_DISABLE_JIT": "1",
    }  # the same, not compiled for each copy
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(copy: Path, name: str) -> None:
    """Within 4,000 instances, by a violation and not by a crash."""
    for file, before, after in MUTANTS[name]:
        path = copy / file
        text = path.read_text()
        assert text.count(before) == 1, f"{name}: {before!r} stands {text.count(before)} times in {file}"
        path.write_text(text.replace(before, after))
    done = fuzz(copy, 4000)
    assert done.returncode == 1 and done.stdout.startswith("violation: "), done.stdout + done.stderr


def test_the_copy_itself_passes(copy: Path) -> None:
    """What catches the mutants passes the source that they are made of, and it is the copy that runs."""
    done = fuzz(copy, 1000)
    assert done.returncode == 0 and done.stdout.startswith("1,000 instances, no violation"), done.stdout + done.stderr
    (copy / "aptsched" / "knapsack" / "greedy.py").write_text("raise SystemExit(7)")
    assert fuzz(copy, 1).returncode == 7
