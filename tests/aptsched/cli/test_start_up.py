"""What a command imports before it does anything: all that it does not need costs every run its start-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aptsched.cli import THREADS

ONE_REQUEST = ("simulate", "--workload", "sharegpt", "--num-requests", "1", "--policy")


def told_after(told: str, *arguments: str, **variables: str) -> Any:
    """What the expression `told` is in a fresh interpreter after a command; nothing that this prints is kept."""
    code = (
        "import sys, os, json, contextlib, io\nfrom aptsched.cli import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    main({arguments})\n"
        f"print(json.dumps({told}))"
    )
    environment = {name: value for name, value in os.environ.items() if name != THREADS} | variables
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def imported_by(*arguments: str) -> set[str]:
    """The modules that a command has imported at its end."""
    return set(told_after("sorted(sys.modules)", *arguments))


def test_the_help_imports_nothing_heavy() -> None:
    """Neither numpy nor rich, nor what typer checks values with."""
    heavy = {"numpy", "scipy", "ortools", "highspy", "pulp", "matplotlib", "rich", "pydantic", "torch"}
    assert imported_by("--help").isdisjoint(heavy)


@pytest.mark.parametrize("policy", ["vllm-v1", "fcfs", "sarathi"])
def test_a_simulation_without_knapsacks_imports_numpy_alone(policy: str) -> None:
    """No other package that is slow to import; of ours no solver, reader, other policy or other command."""
    imported = imported_by(*ONE_REQUEST, policy)
    assert "numpy" in imported
    assert imported.isdisjoint({"scipy", "ortools", "highspy", "pulp", "pandas", "matplotlib", "numba", "torch"})
    others = {"solvers", "aptsched.knapsack", "aptsched.policies.aptserve", "aptsched.cli.generate"}
    unused = {"aptsched.workload.readers", "engine.models.hf_config", "engine.study.crew", "multiprocessing"}
    assert imported.isdisjoint(others | unused)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not list a process's threads")
def test_no_thread_for_large_matrices_is_started() -> None:
    """Numpy of a simulation has none, as these spin when they start; afterwards the variable is not there."""
    assert told_after(f"[len(os.listdir('/proc/self/task')), '{THREADS}' in os.environ]", *ONE_REQUEST, "fcfs") == [
        1,
        0,
    ]


def test_the_users_number_of_threads_stays() -> None:
    """A variable that the user has set is left as it is."""
    assert told_after(f"os.environ['{THREADS}']", *ONE_REQUEST, "fcfs", **{THREADS: "2"}) == "2"
