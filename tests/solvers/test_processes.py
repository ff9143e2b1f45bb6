"""The general solvers as guests in a process: imports, silence, missing packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aptsched import InputError
from references import BY_HAND, Solve, each, pulp_highs, strongly_correlated
from solvers import cpsat, lp, mathopt, milp, pulp
from solvers.program.silence import silence

SCRIPTS = {
    "quiet": "import solvers.cpsat, solvers.mathopt, solvers.pulp, solvers.milp, solvers.lp",
    "ortools first": "import ortools.math_opt.python.mathopt, highspy",
    "highspy first": "import highspy, ortools.math_opt.python.mathopt",
    "highspy at work first": (
        "import solvers.pulp; from aptsched import BatchProblem\n"
        "solvers.pulp.solve(BatchProblem([[2.0], [1.5], [1.5]], [[3], [2], [2]], 4), backend='highs')"
    ),
}


@pytest.mark.parametrize("first", SCRIPTS.values(), ids=SCRIPTS)
def test_one_process_and_silence(first: str) -> None:
    """All solvers work in one process, whichever native library came first, and print nothing."""
    script = f"""{first}
import numpy as np
from aptsched import BatchProblem
from solvers import cpsat, lp, mathopt, milp, pulp
rng = np.random.default_rng(0)
problem = BatchProblem.hybrid(rng.uniform(0, 60, 40), rng.integers(1, 30, 40), 150, 0.4)
runs = [pulp.solve(problem, backend="highs"), mathopt.solve(problem), cpsat.solve(problem), pulp.solve(problem),
        mathopt.solve(problem, backend="scip"), milp.solve(problem), pulp.solve(problem, backend="highs")]
lp.solve(problem)
assert all(run.status.value == "optimal" for run in runs)
assert max(run.objective_s for run in runs) - min(run.objective_s for run in runs) < 1e-6
print("done")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@each
def test_nothing_is_printed(solve: Solve, capfd: pytest.CaptureFixture[str]) -> None:
    """Not a byte on stdout or stderr, as file descriptors, with and without a time-out."""
    solve(BY_HAND, None)
    solve(strongly_correlated(300, seed=0), 0.2)
    assert capfd.readouterr() == ("", "")


def test_silence_is_over_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    """What is printed before and after stays, in order; what is written to the descriptor meanwhile is gone."""
    print("before")
    with silence():
        subprocess.run([sys.executable, "-c", "print('banner')"], check=True)
    print("after")
    assert capfd.readouterr().out == "before\nafter\n"


def test_heavy_packages_only_where_used() -> None:
    """Importing the solvers imports none of the packages they call."""
    script = (
        "import sys, solvers.cpsat, solvers.mathopt, solvers.pulp, solvers.milp, solvers.lp\n"
        "print(sorted({'ortools', 'highspy', 'scipy', 'pulp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("solve", "missing"),
    [
        (cpsat.solve, "ortools"),
        (mathopt.solve, "ortools"),
        (pulp.solve, "pulp"),
        (pulp_highs, "highspy"),
        (milp.solve, "scipy"),
        (lp.solve, "scipy"),
    ],
    ids=["cpsat", "mathopt", "pulp-cbc", "pulp-highs", "milp", "lp"],
)
def test_missing_package(solve: Solve, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not installed is named, with the extra that brings it."""
    for name in list(sys.modules):
        if name == missing or name.startswith(missing + "."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"package {missing}: not installed.*pip install 'aptsched\[solvers\]'"):
        solve(BY_HAND, None)
