"""What users may import: it is there, it is described, and it costs little before it is used."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from types import ModuleType

import pytest

PUBLIC = ("aptsched", "aptsched.policies", "aptsched.workload", "solvers", "engine")
HEAVY = ("scipy", "ortools", "highspy", "pulp", "pandas", "matplotlib", "torch")
NAMES = [(package, name) for package in PUBLIC for name in importlib.import_module(package).__all__]
GREEDY_IMPORTS = (
    "from aptsched import greedy as exported",
    "from aptsched.knapsack.greedy import greedy as defined",
    "import aptsched.knapsack.greedy",
    "import importlib; importlib.import_module('aptsched.knapsack.greedy')",
)


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def newly_imported(code: str) -> set[str]:
    """The modules that a fresh interpreter has after the code, and had not before, with the packages they are in."""
    shown = f"import sys, json; before = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    names: list[str] = json.loads(run_python(shown))
    return {*names, *(name.partition(".")[0] for name in names)}


def for_type_checkers(package: ModuleType) -> set[str]:
    """What `if TYPE_CHECKING` imports in the `__init__` of a package."""
    assert package.__file__ is not None
    body = ast.parse(Path(package.__file__).read_text(encoding="utf-8")).body
    block = next(node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_export_is_there_and_described(package: str, name: str) -> None:
    """A class, a function or a module has a docstring of its own."""
    export = getattr(importlib.import_module(package), name)
    if inspect.isclass(export) or inspect.isroutine(export) or inspect.ismodule(export):
        assert vars(export).get("__doc__") or export.__doc__


@pytest.mark.parametrize("package", [name for name in PUBLIC if name != "aptsched.workload"])
def test_type_checkers_see_the_exports_and_no_others(package: str) -> None:
    """`__all__`, what is imported for type checkers, and what is found at first use name the same."""
    module = importlib.import_module(package)
    assert for_type_checkers(module) == set(module.__all__) <= set(dir(module))
    code = f"import {package}; print(*sorted(set(dir({package})) - set(vars({package}))))"
    assert set(run_python(code).split()) == set(module.__all__)


@pytest.mark.parametrize("package", ["aptsched", "solvers", "engine", "aptsched.policies"])
def test_importing_a_package_imports_no_numpy(package: str) -> None:
    """Nothing is paid for that is not used: `aptsched --help` needs none of it."""
    assert newly_imported(f"import {package}").isdisjoint({"numpy", *HEAVY})


@pytest.mark.parametrize("name", importlib.import_module("aptsched").__all__)
def test_an_export_imports_no_heavy_package(name: str) -> None:
    """The online answers need numpy alone."""
    assert newly_imported(f"from aptsched import {name}").isdisjoint({"solvers", "engine", *HEAVY})


@pytest.mark.parametrize("name", importlib.import_module("solvers").__all__)
def test_a_solver_imports_its_package_when_it_is_called(name: str) -> None:
    """So that one is of use where the packages of the others are not installed."""
    assert newly_imported(f"from solvers import {name}").isdisjoint({"engine", *HEAVY} - {name})


@pytest.mark.parametrize("first", GREEDY_IMPORTS)
def test_greedy_is_the_function_after_each_import(first: str) -> None:
    """The submodule of the same name never takes the function's place."""
    assert run_python(f"{first}\nimport aptsched; print(type(aptsched.greedy).__name__)").strip() == "function"


def test_greedy_is_the_function_in_every_order_of_imports() -> None:
    """Whatever was imported before, package and submodule give one and the same function."""
    home = "sys.modules['aptsched.knapsack.greedy'].greedy"
    check = f"import aptsched, sys\nassert exported is defined is aptsched.greedy is {home}"
    forget = "for name in [name for name in sys.modules if name.startswith('aptsched')]: del sys.modules[name]"
    orders = ["\n".join((*order, check, forget)) for order in permutations(GREEDY_IMPORTS)]
    run_python("\n".join(orders))


@pytest.mark.parametrize("package", PUBLIC)
def test_star_import_gives_every_export(package: str) -> None:
    """`__all__` holds nothing that is not there."""
    names = list(importlib.import_module(package).__all__)
    assert run_python(f"from {package} import *; print(all(name in globals() for name in {names}))").strip() == "True"


@pytest.mark.parametrize("package", PUBLIC)
def test_an_unknown_attribute_is_an_attribute_error(package: str) -> None:
    """`hasattr` and `from aptsched import typo` behave as for any package."""
    assert not hasattr(importlib.import_module(package), "typo")
