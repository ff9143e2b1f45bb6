"""Modules fit on a few screens, functions on one: ours, those of the tests, the benchmarks and the examples."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import aptsched

PACKAGES = Path(aptsched.__file__).parents[1]  # of the checkout, or where the wheel lies
HERE = Path(__file__).parents[2]
FOLDERS = [
    *(PACKAGES / name for name in ("aptsched", "solvers", "engine", "proofs")),
    *(HERE / name for name in ("tests", "benchmarks", "examples")),
]
FILES = [file for folder in FOLDERS for file in sorted(folder.rglob("*.py"))]
LIVE_PATH = [
    *(file for room in ("state", "loop", "runner") for file in (PACKAGES / "engine" / room).glob("*.py")),
    PACKAGES / "engine" / "models" / "decoder.py",
]  # without the files of forms
MAX_LIVE_LINES = 2500
MAX_LINES = 300  # of a module
MAX_FUNCTION_LINES = 50  # without the docstring


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Name of each function, methods and inner ones too, and its lines from `def` on without the docstring."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            has_docstring = ast.get_docstring(node, clean=False) is not None
            yield node.name, num_lines(node) - (num_lines(node.body[0]) if has_docstring else 0)


def num_lines(node: ast.stmt) -> int:
    """How many lines of the file a statement stands on."""
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_no_module_is_longer_than_300_lines() -> None:
    """What is longer holds more than one concept."""
    sizes = {str(file): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert len(sizes) > 200
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}


def test_the_live_path_is_read_in_an_hour() -> None:
    """State, loop, runner and decoder, through which docs/engine.md walks, are under 2,500 lines."""
    sizes = [len(file.read_text(encoding="utf-8").splitlines()) for file in LIVE_PATH]
    assert len(sizes) > 20
    assert sum(sizes) < MAX_LIVE_LINES


def test_no_function_is_longer_than_50_lines_without_its_docstring() -> None:
    """Commands with their options too."""
    sizes = {f"{file}: {name}": size for file in FILES for name, size in functions(file.read_text(encoding="utf-8"))}
    assert len(sizes) > 1000
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}


def test_lines_of_a_function_are_those_without_its_docstring() -> None:
    """Of methods and inner functions too; one without a docstring has them all."""
    method = '    def b(self):\n        """One.\n\n        Two.\n        """\n'
    text = f"class A:\n{method}        def c():\n            pass\n        return c\n"
    assert list(functions(text)) == [("b", 4), ("c", 2)]
