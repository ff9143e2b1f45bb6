"""Coq on the files of `proofs/rocq`: compiled, checked by the independent checker, and asked what they assume."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent / "rocq"
LIBRARY = "Aptsched"
CLOSED = "Closed under the global context"
UNPROVED = re.compile(r"\b(Admitted|admit|Axioms?|Parameters?|Conjecture|Hypothes[ie]s|Variables?|Context)\b")


class RocqError(Exception):
    """Coq is missing, or rejects something; the message says which, for people to read."""


def sources() -> list[str]:
    """The Coq files in the order of `_CoqProject`: each after those that it needs."""
    return [line for line in (SOURCES / "_CoqProject").read_text().split("\n") if line.endswith(".v")]


def run(program: str, *arguments: str, cwd: Path) -> str:
    """Run a program and return what it prints; raises RocqError where it fails."""
    if shutil.which(program) is None:
        raise RocqError(f"{program} is not there")
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RocqError(f"{program} {arguments[-1]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout + done.stderr


def compile_file(directory: Path, name: str) -> str:
    """Compiles a file of the directory. Returns what its commands print."""
    return run("coqc", "-R", ".", LIBRARY, name, cwd=directory)


def build(directory: Path, files: Sequence[str]) -> None:
    """Copies the files to an empty directory and compiles them there, in order."""
    for name in files:
        shutil.copy(SOURCES / name, directory)
        compile_file(directory, name)


def check_kernel(directory: Path, files: Sequence[str]) -> None:
    """Has `coqchk` check the compiled files and all of the standard library that they use, and find no axiom."""
    modules = [f"{LIBRARY}.{Path(name).stem}" for name in files]
    summary = run("coqchk", "-o", "-silent", "-R", ".", LIBRARY, *modules, cwd=directory)
    if not re.search(r"\* Axioms: <none>", summary):
        raise RocqError(f"coqchk: {summary.strip()}")


def check_assumptions(directory: Path, names: Sequence[tuple[str, str]]) -> None:
    """Has Coq print what each theorem, (file, name), assumes; raises RocqError if that is anything."""
    modules = dict.fromkeys(Path(file).stem for file, _ in names)
    asked = [f"Print Assumptions {Path(file).stem}.{name}." for file, name in names]
    (directory / "Assumptions.v").write_text("\n".join([f"From {LIBRARY} Require {' '.join(modules)}.", *asked]))
    printed = compile_file(directory, "Assumptions.v").strip().split("\n")
    if printed != [CLOSED] * len(names):
        raise RocqError("\n".join(["Print Assumptions:", *printed]))


def check_sources(files: Sequence[str]) -> None:
    """Raises RocqError if the files have a statement that Coq accepts without a proof."""
    for name in files:
        for number, line in enumerate((SOURCES / name).read_text().split("\n"), 1):
            if UNPROVED.search(line):
                raise RocqError(f"{name}:{number}: {line.strip()}")
