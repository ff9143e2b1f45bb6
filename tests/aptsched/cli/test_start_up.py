"""What a command imports before it does anything: all that it does not need costs every run its start-up."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ONE_REQUEST = ("simulate", "--workload", "sharegpt", "--num-requests", "1", "--policy")


def imported_by(*arguments: str) -> set[str]:
    """The modules that a command of a fresh interpreter has imported at its end; nothing it prints is kept."""
    code = (
        "import sys, json, contextlib, io\nfrom aptsched.cli import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    main({arguments})\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout)
    return set(names)


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
