"""README, documents and examples use what users may import, and run as they stand."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("aptsched", "solvers", "engine", "proofs", "benchmarks")
README = ROOT / "README.md"
TEXTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def blocks(text: str) -> list[str]:
    """The Python blocks of a document."""
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def private(code: str) -> Iterator[str]:
    """What the code imports of ours that is in no `__all__`, by its dotted name."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            given = [("", alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            given = [(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        for home, name in given:
            dotted = f"{home}.{name}".strip(".")
            if dotted.partition(".")[0] in OURS and not is_public(dotted):
                yield dotted


def is_public(dotted: str) -> bool:
    """Whether each part of the name is an export of the part before it."""
    package, *parts = dotted.split(".")
    home = importlib.import_module(package)
    for part in parts:
        if part not in getattr(home, "__all__", ()):
            return False
        home = getattr(home, part)
    return True


@pytest.mark.parametrize("path", [*TEXTS, *EXAMPLES], ids=lambda path: path.name)
def test_texts_and_examples_import_public_names_alone(path: Path) -> None:
    """All else is ours, and may change."""
    text = path.read_text(encoding="utf-8")
    codes = [text] if path.suffix == ".py" else blocks(text)
    assert not [name for code in codes for name in private(code)]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from aptsched import View\nfrom solvers import core\nimport aptsched.policies, numpy", []),
        ("from aptsched.scheduling.view import View", ["aptsched.scheduling.view.View"]),
        ("def f():\n    from engine import Limits, Engine", ["engine.Limits"]),
        ("import solvers.methods", ["solvers.methods"]),
    ],
)
def test_private_names_are_found(code: str, found: list[str]) -> None:
    """Wherever the import stands, and however it is written."""
    assert list(private(code)) == found


def test_the_readme_runs(tmp_path: Path) -> None:
    """Every Python block of the README runs in one fresh interpreter, in order."""
    code = "\n".join(blocks(README.read_text(encoding="utf-8")))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study" / "results.json").is_file()


@pytest.mark.parametrize("path", TEXTS[1:], ids=lambda path: path.name)
def test_documents_run_and_print_what_they_show(path: Path, tmp_path: Path) -> None:
    """Their Python blocks run in one fresh interpreter; the text block behind one is what it prints."""
    text = path.read_text(encoding="utf-8")
    shown = "".join(re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    code = "\n".join(blocks(text))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (0, shown), done.stderr


def test_the_readme_shows_the_example_as_it_is() -> None:
    """What one reads there is what one runs."""
    example = ROOT / "examples" / "own_policy.py"
    assert example.read_text(encoding="utf-8") in blocks(README.read_text(encoding="utf-8"))
