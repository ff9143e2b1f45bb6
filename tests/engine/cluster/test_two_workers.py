"""The example of two workers under one clock."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "two_workers.py"


def test_two_workers_serve_the_same_requests_sooner(tmp_path: Path) -> None:
    """It runs as it stands, in 30 lines; all requests are served, and two workers take less than half as long."""
    lines = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 30
    done = subprocess.run([sys.executable, str(EXAMPLE)], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\d) at work: 300 served, complete after (.+) s in the median$", done.stdout, re.M)
    assert [num_workers for num_workers, _ in found] == ["1", "2"]
    one_s, two_s = (float(latency_s) for _, latency_s in found)
    assert two_s < one_s / 2
