"""The map of modules, docs/modules.md, is that of the tree; files that documents name are there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import aptsched

HOME = Path(aptsched.__file__).parents[1]  # of the checkout, or where the wheel lies
ROOT = Path(__file__).parents[2]
PACKAGES = ("aptsched", "solvers", "engine", "proofs")
MAP = (ROOT / "docs" / "modules.md").read_text(encoding="utf-8")
TEXTS = [ROOT / "CONTRIBUTING.md", ROOT / "proofs" / "THEOREMS.md", *sorted((ROOT / "docs").glob("*.md"))]


def named(text: str) -> Iterator[str]:
    """The modules in the first cells of tables of our packages, as `package/room/module`; folders are left out."""
    package = room = ""
    for line in text.splitlines():
        if line.startswith("## "):
            package = line[3:].partition(":")[0]
        elif line.startswith("| ") and package in PACKAGES:
            names = re.findall(r"`([\w/]+)`", line.split(" | ")[0])
            if is_head(line, text):
                room = "".join(names)
            else:
                yield from (f"{package}/{room}{name}" for name in names if not name.endswith("/"))


def is_head(line: str, text: str) -> bool:
    """Whether a line is the head of a table: a rule comes next."""
    return f"{line}\n|---" in text


def modules() -> Iterator[str]:
    """The modules of the tree, written in the same way."""
    for package in PACKAGES:
        for file in (HOME / package).rglob("*.py"):
            if not file.stem.startswith("__"):
                yield file.relative_to(HOME).with_suffix("").as_posix()


def test_the_map_names_every_module_once() -> None:
    """And none that is not there."""
    assert Counter(named(MAP)) == Counter(modules())


@pytest.mark.skipif(HOME != ROOT, reason="not all files are in the wheel")
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_files_that_documents_name_are_there(path: Path) -> None:
    """Those with a folder of ours before them, in backticks."""
    text = path.read_text(encoding="utf-8")
    files = re.findall(r"`((?:aptsched|solvers|engine|proofs|tests|benchmarks|examples|docs)/[\w/.-]*)`", text)
    assert [name for name in files if not (ROOT / name).exists()] == []
