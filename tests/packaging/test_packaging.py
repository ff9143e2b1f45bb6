"""What is installed is what was meant."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path

import pytest

import aptsched

ROOT = Path(__file__).parents[2]
ROOMS = ("aptsched", "solvers", "engine", "proofs")


def text(name: str) -> str:
    """A file of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("room", ROOMS)
def test_no_other_distribution_ships_our_packages(room: str) -> None:
    """The generic names are safe only while nobody else installs them."""
    assert set(packages_distributions().get(room, [])) <= {"aptsched"}


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
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=600)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    info = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*ROOMS, info}
    assert {*(f"{room}/py.typed" for room in ROOMS), f"{info}/licenses/LICENSE"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="the paths are those of a checkout")
@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/formats.md"])
def test_every_path_that_is_named_is_there(name: str) -> None:
    """In backquotes, in a command, or where a link leads."""
    rooms = "aptsched|solvers|engine|proofs|tests|docs|examples|benchmarks"
    named = set(re.findall(rf"(?<![\w/.])(?:{rooms})/[\w/]+(?:\.(?:py|md|yaml)\b)?", text(name)))
    assert named and not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="the targets are those of a checkout")
@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_target_that_is_named_is_one_of_the_makefile(name: str) -> None:
    """`make TARGET`, in a block or within the text."""
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    named = re.findall(r"^make ([a-z]+)|`make ([a-z]+)", text(name), re.MULTILINE)
    assert named and {block or inline for block, inline in named} <= targets
