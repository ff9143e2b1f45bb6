"""The study of all policies: what is sought where, how policies are ranked, and what its tables say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

cell = pytest.importorskip("benchmarks.opponents.cell", reason="the benchmarks are in a checkout")
tables = pytest.importorskip("benchmarks.opponents.tables")

from engine.capacities.found import Capacity  # noqa: E402  # after what may skip the file

TWO = cell.CELLS[:2]


def capacity(policy: str, level: float, rates_per_s: tuple[float, ...]) -> Capacity:
    """What a policy holds with each seed; the mean is that of one seed, the ends are those of no interval."""
    nan = math.nan
    known = {"rate_per_s": rates_per_s[0], "low": nan, "high": nan, "rates_per_s": rates_per_s}
    others = dict.fromkeys([name for name in Capacity.__dataclass_fields__ if name not in known], nan)
    named: dict[str, Any] = {**others, **known, "policy": policy, "level": level}
    return Capacity(**named)


def held(rates: Mapping[str, tuple[tuple[float, ...], ...]], level: float = 0.9) -> dict[Any, Capacity]:
    """By policy, the rates with each seed at the first two cells."""
    each = [(at, policy, found) for policy, by_cell in rates.items() for at, found in zip(TWO, by_cell, strict=True)]
    return {(at, level, policy): capacity(policy, level, found) for at, policy, found in each}


def test_bursts_of_long_prompts_are_held_to_three_quarters_and_served_for_longer() -> None:
    """All others to 99 and 90%; the first part seeks the lower level alone."""
    levels = {each.name: each.levels for each in cell.CELLS}
    assert levels.pop("longbench-cv4") == (0.75,)
    assert len(levels) == 5 and set(levels.values()) == {(0.99, 0.9)}
    extent = cell.Extent(1, {"sharegpt": (90.0, 30.0), "longbench": (60.0, 10.0)}, all_levels=False)
    assert extent.levels(TWO[0]) == (0.9,) and extent.seconds(TWO[0]) == (90.0, 30.0)
    assert extent.seconds(cell.CELLS[-1]) == (180.0, 10.0)


def test_times_fcfs_is_the_geometric_mean_over_cells_of_paired_seeds() -> None:
    """Seeds of 2 and 8 times, and of 8 and 2, have 4 each: an interval of no width; of one seed there is none."""
    found = held({"fcfs": ((1.0, 2.0), (1.0, 2.0)), "slai": ((2.0, 16.0), (8.0, 4.0))})
    times = tables.times_first(found, "slai", 0.9)
    assert (times.mean, times.low, times.high) == pytest.approx((4.0, 4.0, 4.0))
    one = held({"fcfs": ((1.0,), (2.0,)), "slai": ((2.0,), (16.0,))})
    assert tables.times_first(one, "slai", 0.9).mean == pytest.approx(4.0)
    assert math.isnan(tables.times_first(one, "slai", 0.9).low)


def test_the_better_of_plain_and_shed_is_ranked_and_who_holds_nothing_is_not() -> None:
    """`c` holds no rate at one cell, `d` was not searched."""
    rates = {"fcfs": 1.0, "a": 3.0, "shed(a)": 2.0, "b": 1.0, "shed(b)": 4.0}
    found = held({name: ((rate,), (rate,)) for name, rate in rates.items()} | {"c": ((9.0,), (math.nan,))})
    assert tables.ranked(found, ["fcfs", "a", "b", "c", "d"]) == ["shed(b)", "a", "fcfs"]


def test_a_row_has_plain_and_shed_and_a_dash_for_what_is_not_known() -> None:
    """The best stands first; three digits, without a point behind the last."""
    rates = {"fcfs": ((1.0,), (100.0,)), "a": ((2.0,), (200.0,)), "shed(a)": ((3.0,), (300.0,))}
    found = held({**rates, "c": ((9.0,), (math.nan,))})
    lines = tables.screen_table(found, ["fcfs", "a", "c"]).splitlines()
    assert lines[0] == "| policy | sharegpt, CV 1 | humaneval, CV 1 | times `fcfs` |"
    assert lines[2:] == [
        "| `a` | 2.00 / 3.00 | 200 / 300 | 2.00 / 3.00 |",
        "| `fcfs` | 1.00 | 100 | 1.00 |",
        "| `c` | 9.00 | - | - |",
    ]


def test_a_cell_of_its_own_level_stands_among_those_of_the_lowest() -> None:
    """Its heading says so; the table of the other level leaves it out."""
    hard = cell.CELLS[-1]
    found = held({"fcfs": ((1.0,), (2.0,))}) | held({"fcfs": ((0.5,), (1.0,))}, 0.99)
    found[hard, 0.75, "fcfs"] = capacity("fcfs", 0.75, (4.0,))
    head, _, row = tables.best_table(found, ["fcfs"], 0.9).splitlines()
    assert head.split(" | ")[1:4] == ["sharegpt, CV 1", "humaneval, CV 1", "longbench, CV 4, 75%"]
    assert row == "| `fcfs` | 1.00 | 2.00 | 4.00 |  |"
    assert tables.best_table(found, ["fcfs"], 0.99).splitlines()[2] == "| `fcfs` | 0.500 | 1.00 |  |"


def test_rates_are_those_of_the_command_and_are_kept(tmp_path: Path) -> None:
    """In a folder of the cell, with the options that `aptsched capacity` would record."""
    extent = cell.Extent(1, {"longbench": (20.0, 10.0)}, all_levels=True)
    bursts = cell.CELLS[-1]
    study = cell.searched(bursts, ["fcfs", "shed(fcfs)"], extent, tmp_path, 1)
    document = json.loads((tmp_path / "longbench-cv4" / "capacity.json").read_text(encoding="utf-8"))
    assert [(row["policy"], row["level"]) for row in document["capacities"]] == [("fcfs", 0.75), ("shed(fcfs)", 0.75)]
    assert [row.rate_per_s for row in study.capacities] == [row["rate_per_s"] for row in document["capacities"]]
    options = document["options"]
    assert (options["workload"], options["cv"], options["duration"], options["warmup"]) == ("longbench", 4, 60, 10)
    assert options["setting"] == ["sustained"] and options["seeds"] == 1
