"""Output tokens a second against transformers' continuous batching, on the same weights: prompts of mixed lengths."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from benchmarks.engine import against_continuous
from benchmarks.gpu.generate import against_transformers
from benchmarks.gpu.rig import Rig
from benchmarks.tables import Row


def rows(rig: Rig) -> Iterator[Row]:
    """For each shape a row for each number of requests in flight."""
    if rig.device == "cpu" and find_spec("psutil") is None:  # without it transformers waits for ever there
        return iter([{"what": "failed", "why": "transformers needs psutil for it on a CPU"}])
    return against_transformers(rig, against_continuous)
