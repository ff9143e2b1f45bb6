"""Imports go the way of the arrows in docs/modules.md: which room may look into which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import aptsched

ROOT = Path(aptsched.__file__).parents[1]  # of the checkout, or where the wheel lies
# Of a package, from what stands on nothing to what stands on all before it; and of the others what it may look into.
ROOMS = {
    "aptsched": ("support", "problem", "knapsack", "scheduling", "policies", "workload", "metrics", "report"),
    "solvers": ("core", "program", "study"),
    "engine": (
        "state",
        "loop",
        "cluster",
        "models",
        "runner",
        "session",
        "calibration",
        "simulator",
        "study",
        "capacities",
        "server",
        "remote",
        "vllm",
    ),
    "proofs": (),
}
OTHERS = {"aptsched": (), "solvers": ("aptsched",), "engine": ("aptsched",), "proofs": ("aptsched", "solvers")}
ALONE = {  # rooms that look into fewer than all before them
    "aptsched.knapsack": {"support", "problem"},
    "aptsched.scheduling": {"support", "problem"},
    "aptsched.policies": {"support", "problem", "knapsack", "scheduling"},
    "aptsched.workload": {"support", "problem"},
    "aptsched.metrics": {"support", "scheduling"},
    "aptsched.report": {"support", "metrics"},
    "engine.models": set[str](),
    "engine.loop": {"state"},
    "engine.cluster": {"state", "loop"},
    "engine.calibration": {"state", "models"},
    "engine.vllm": {"state", "loop", "calibration"},
    "engine.simulator": {"state", "loop", "models", "calibration"},
}
HEAVY = {"torch", "ortools", "pulp", "scipy", "highspy", "matplotlib", "pandas"}


def modules(package: str) -> list[Path]:
    """All modules of a package; `aptsched/cli` may look into every room, and is not among them."""
    return [file for file in sorted((ROOT / package).rglob("*.py")) if (ROOT / "aptsched" / "cli") not in file.parents]


def room_of(name: str) -> tuple[str, str]:
    """Package and room of a module by its dotted name; no room where it lies in the package itself."""
    package, *rest = name.split(".")
    return package, rest[0] if rest and rest[0] in ROOMS.get(package, ()) else ""


def imported(file: Path) -> Iterator[str]:
    """Dotted names of what a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def at_the_top(file: Path) -> Iterator[str]:
    """Top-level packages that importing a module imports at once."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def accepted(package: str, room: str) -> set[str]:
    """Rooms of the same package that a room may look into; all for what lies in the package itself."""
    before = ROOMS[package]
    if not room:
        return {"", *before}
    return {"", room, *ALONE.get(f"{package}.{room}", before[: before.index(room)])}


@pytest.mark.parametrize("package", ROOMS)
def test_imports_go_the_way_of_the_arrows(package: str) -> None:
    """Between packages, and between the rooms of one."""
    wrong = []
    for file in modules(package):
        _, room = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for name in imported(file):
            other, target = room_of(name)
            ours = target in accepted(package, room) if other == package else other in OTHERS[package]
            if other in ROOMS and not ours:
                wrong.append(f"{file.relative_to(ROOT)}: {name}")
    assert not [line for line in wrong if not line.startswith("aptsched/__main__.py")]  # the command's way in


@pytest.mark.parametrize("package", ["aptsched", "solvers"])
def test_what_is_heavy_is_imported_where_it_is_used(package: str) -> None:
    """Numpy alone is imported with the online answers; general solvers and plots come with their first use."""
    assert not [file.name for file in modules(package) if HEAVY & set(at_the_top(file))]


def test_every_folder_is_a_room() -> None:
    """A new one is named here, with what it may look into."""
    for package, rooms in ROOMS.items():
        folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} - {"cli"}
        assert folders == set(rooms)
