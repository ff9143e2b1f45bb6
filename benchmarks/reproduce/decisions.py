"""The time of one decision, as `benchmarks.decision_time` measures it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from aptsched.support import files
from benchmarks.decision_time import SettingTimes
from benchmarks.families import Setting

LOAD = 0.25  # of the pool over what all candidates ask for
ONLINE, PLAIN = "greedy", "plain"  # ours, with its certificate; Algorithm 1 in Python
IN_PYTHON = "in Python"
MEANT: Mapping[str, str] = {IN_PYTHON: "Algorithm 1 in plain Python, without a certificate, in place of our greedy"}


def decision_times(num_candidates: int, num_snapshots: int, rounds: int = 2) -> dict[str, float]:
    """Seconds of one decision by method, the median over snapshots of the fastest call."""
    times = SettingTimes(Setting(f"n={num_candidates}", num_candidates, LOAD, num_snapshots), 0, 0)
    for number in range(rounds):
        times.round(number, rounds, Console(stderr=True, quiet=True))
    return {name: times.row()["ms"][name]["median"] / 1e3 for name in (ONLINE, PLAIN)}


def kept_times(path: Path, num_candidates: int, num_snapshots: int) -> dict[str, float]:
    """The times in a file of those measured before; measured and written there if they are not."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    key = f"{num_candidates} candidates, {num_snapshots} snapshots"
    if key not in known:
        known[key] = decision_times(num_candidates, num_snapshots)
        files.write(path, json.dumps(known, indent=1))
    found: dict[str, float] = known[key]
    return found
