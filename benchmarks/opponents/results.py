"""What policies were found to hold, read from the folders of the cells."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.opponents.cell import Cell
from engine.capacities.found import Capacity

Held = Mapping[tuple[Cell, float, str], Capacity]  # by cell, level and policy
NAMES = [field.name for field in dataclasses.fields(Capacity)]


def held(cells: Iterable[Cell], folder: Path) -> Held:
    """What the policies hold at the cells that were searched; those that were not are left out."""
    return {
        (cell, found.level, found.policy): found
        for cell in cells
        if (path := folder / cell.name / "capacity.json").exists()
        for found in map(_capacity, json.loads(path.read_text(encoding="utf-8"))["capacities"])
    }


def _capacity(row: Mapping[str, Any]) -> Capacity:
    """A row of the file; what is null there is nan."""
    named: dict[str, Any] = {name: _known(row[name]) for name in NAMES}
    return Capacity(**{**named, "rates_per_s": tuple(map(_known, row["rates_per_s"]))})


def _known(value: Any) -> Any:
    return math.nan if value is None else value
