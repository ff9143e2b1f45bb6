"""What is installed is what was meant, and importing it costs little."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from importlib.resources import files
from itertools import permutations
from pathlib import Path

import pytest

import aptsched

ROOT = Path(__file__).parents[2]
ROOMS = ("aptsched", "solvers", "engine", "proofs")
HEAVY = ("scipy", "ortools", "highspy", "pulp", "pandas", "matplotlib", "torch")
EXPORTS = ("BatchProblem", "InfeasibleError", "InputError", "Multipliers", "Selection", "greedy")
GREEDY_IMPORTS = (
    "from aptsched import greedy as exported",
    "from aptsched.knapsack.greedy import greedy as defined",
    "import aptsched.knapsack.greedy",
    "import importlib; importlib.import_module('aptsched.knapsack.greedy')",
)


def text(name: str) -> str:
    """A file of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def newly_imported(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after the code, and had not before."""
    shown = f"import sys, json; before = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    return {name.partition(".")[0] for name in json.loads(run_python(shown))}


@pytest.mark.parametrize("room", ROOMS)
def test_no_other_distribution_ships_our_packages(room: str) -> None:
    """The generic names are safe only while nobody else installs them."""
    assert set(packages_distributions().get(room, [])) <= {"aptsched"}


def test_importing_the_package_imports_no_numpy() -> None:
    """`aptsched --help` pays for what it needs and no more."""
    assert newly_imported("import aptsched").isdisjoint({"numpy", *HEAVY})


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_imports_no_heavy_package(name: str) -> None:
    """The online answers need numpy alone."""
    assert newly_imported(f"from aptsched import {name}").isdisjoint({"solvers", *HEAVY})


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


def test_star_import_gives_every_export() -> None:
    """`__all__` holds nothing that is not there."""
    assert run_python(f"from aptsched import *; print(all(name in globals() for name in {EXPORTS}))").strip() == "True"


def test_dir_lists_the_exports_before_they_are_used() -> None:
    """Completion in a shell shows what there is."""
    assert run_python(f"import aptsched; print(set({EXPORTS}) <= set(dir(aptsched)))").strip() == "True"


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    """`hasattr` and `from aptsched import typo` behave as for any package."""
    assert run_python("import aptsched; print(hasattr(aptsched, 'typo'))").strip() == "False"


@pytest.mark.parametrize("room", ROOMS)
def test_types_are_shipped(room: str) -> None:
    """Type checkers read the annotations of an installed package only beside py.typed."""
    assert (files(room) / "py.typed").is_file()


def test_version_is_the_newest_of_the_changelog() -> None:
    """The package, pyproject.toml and the changelog name one version."""
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", text("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert tomllib.loads(text("pyproject.toml"))["project"]["version"] == newest[1]
    assert aptsched.__version__ == newest[1]


@pytest.mark.skipif(not (ROOT / "aptsched").is_dir(), reason="the wheel is built in a checkout")
def test_the_wheel_carries_our_packages_and_the_licence_alone(tmp_path: Path) -> None:
    """No tests, no benchmarks, no caches."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    info = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*ROOMS, info}
    assert {*(f"{room}/py.typed" for room in ROOMS), f"{info}/licenses/LICENSE"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="the targets are those of a checkout")
@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_target_that_is_named_is_one_of_the_makefile(name: str) -> None:
    """`make TARGET`, in a block or within the text."""
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    named = re.findall(r"^make ([a-z]+)|`make ([a-z]+)", text(name), re.MULTILINE)
    assert named and {block or inline for block, inline in named} <= targets


def test_the_readme_runs() -> None:
    """Every Python block of the README runs in one fresh interpreter, in order."""
    blocks = re.findall(r"^```python\n(.*?)^```", text("README.md"), re.MULTILINE | re.DOTALL)
    assert blocks
    run_python("\n".join(blocks))
