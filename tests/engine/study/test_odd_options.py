"""Options of studies from Python, whatever they are given as."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aptsched import InputError
from engine import SimulateOptions, simulate
from engine.study.run_options import RunOptions
from odd_values import check_refused_or_taken
from solvers import GapOptions, gap

GIVEN: list[tuple[type, dict[str, Any]]] = [
    (SimulateOptions, {"workload": "sharegpt", "policy": "fcfs"}),
    (RunOptions, {"workload": "sharegpt", "policy": "fcfs"}),
    (GapOptions, {"workload": "sharegpt", "methods": "greedy"}),
]


@pytest.mark.parametrize(("kind", "given", "name"), [(k, given, each.name) for k, given in GIVEN for each in fields(k)])
def test_any_value_of_an_option(kind: type, given: dict[str, Any], name: str) -> None:
    """An option of any value is taken, or refused by one message."""
    given = {**given, "workload": None} if name == "trace" else given
    check_refused_or_taken(lambda value: kind(**{**given, name: value}))


def test_numbers_of_numpy_and_paths() -> None:
    """They give what Python's own numbers and texts give."""
    given: dict[str, Any] = {
        "num_requests": np.int64(3),
        "rate": np.float32(2),
        "seed": np.int32(1),
        "slo_ttft": np.float64(2),
    }
    plain: dict[str, Any] = {"num_requests": 3, "rate": 2.0, "seed": 1, "slo_ttft": 2.0}
    study = simulate(workload="sharegpt", policy="fcfs", **given)
    assert study.document == simulate(workload="sharegpt", policy="fcfs", **plain).document
    sizes: Any = (np.int64(4), 4)
    snapshots = [gap(workload="sharegpt", num_requests=size, instances=1, methods="greedy") for size in sizes]
    assert [study.options for study in snapshots] == [snapshots[1].options] * 2
    nowhere: Any = Path("no/such")
    for name in ("model", "gpu", "cost"):
        with pytest.raises(InputError, match=f"{name}: 'no/such' is n"):
            simulate(**{"workload": "sharegpt", name: nowhere})
