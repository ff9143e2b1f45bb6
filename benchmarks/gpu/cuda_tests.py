"""The tests that a GPU changes: kernels, and those that run on each device."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.gpu.rig import Rig
from benchmarks.tables import Row

HERE = Path(__file__).parents[2]
ON_EACH_DEVICE = (
    "tests/engine/runner/test_absorbed_precision.py",
    "tests/engine/runner/test_int8.py",
    "tests/engine/runner/test_keys.py",
    "tests/engine/runner/test_paged_attention.py",
    "tests/engine/runner/test_wide_products.py",
)


def rows(rig: Rig) -> Iterator[Row]:
    """How many passed, failed and were skipped in each file; in a trial those of one small file."""
    for path in ON_EACH_DEVICE[-1:] if rig.is_tiny else (*ON_EACH_DEVICE, *kernel_tests()):
        report = rig.out / f"{Path(path).stem}.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", path]
        if path in ON_EACH_DEVICE:
            command += ["-k", rig.device.partition(":")[0]]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        yield outcome(Path(path).stem, report, done.stdout + done.stderr)


def kernel_tests() -> list[str]:
    """The files of the tests of kernels, but for the one that compiles for GPUs that need not be there."""
    found = {path.relative_to(HERE).as_posix() for path in (HERE / "tests" / "kernels").glob("test_*.py")}
    return sorted(found - {"tests/kernels/test_compiles.py"})


def outcome(name: str, report: Path, output: str) -> Row:
    """The row of a file; without a report, or with failures, it says the last that pytest said of them."""
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return {"file": name, "passed": 0, "failed": 1, "skipped": 0, "why": output[-300:]}
    kinds = [next((part.tag for part in case if part.tag in ("failure", "error", "skipped")), "") for case in cases]
    failed = [case.get("name", "") for case, kind in zip(cases, kinds, strict=True) if kind in ("failure", "error")]
    row: Row = {"file": name, "passed": kinds.count(""), "failed": len(failed), "skipped": kinds.count("skipped")}
    return {**row, "why": f"{', '.join(failed)}: {output[-1000:]}"} if failed else row
