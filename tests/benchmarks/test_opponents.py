"""The study of all policies: what is sought where, how policies are ranked, and what its tables say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aptsched.workload.trace import Trace

cell = pytest.importorskip("benchmarks.opponents.cell", reason="the benchmarks are in a checkout")
azure = pytest.importorskip("benchmarks.opponents.azure")
chosen = pytest.importorskip("benchmarks.opponents.chosen")
main = pytest.importorskip("benchmarks.opponents.__main__")
results = pytest.importorskip("benchmarks.opponents.results")
tables = pytest.importorskip("benchmarks.opponents.tables")
without_lengths = pytest.importorskip("benchmarks.opponents.without_lengths")

from engine.capacities.found import Capacity  # noqa: E402  # after what may skip the file

TWO = cell.STEADY[:2]
HARD = cell.BURSTS[-1]


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


def test_bursts_of_long_prompts_are_held_to_three_quarters() -> None:
    """All other cells to 99% and 90%, with one seed and with several; the lengths of one seed are as given."""
    assert HARD.levels == (0.75,) and {each.levels for each in (*cell.BURSTS[:2], *TWO)} == {(0.99, 0.9)}
    screen, several = main.EXTENTS["screen"].options(HARD), main.EXTENTS["chosen"].options(TWO[0])
    assert (screen["level"], screen["duration"], screen["seeds"], screen["jitter"]) == (HARD.levels, 1260.0, 1, None)
    assert (several["level"], several["duration"], several["seeds"], several["jitter"]) == ((0.99, 0.9), 660.0, 5, 0.1)
    assert main.EXTENTS["chosen"].options(cell.code(Path("a.csv")))["jitter"] is None
    assert main.EXTENTS["chosen"].options(TWO[1])["duration"] == 240.0


@pytest.mark.parametrize(("name", "given", "least"), [("--jobs", "0", 1), ("--seed", "-1", 0)])
def test_numbers_that_are_too_small_end_in_one_message(
    name: str, given: str, least: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the option, its value and what is accepted; the exit code is 2, and nothing is run."""
    with pytest.raises(SystemExit) as ended:
        main.main(["chosen", name, given])
    assert ended.value.code == 2
    assert f"{name}: {given} is not accepted; at least {least} is" in capsys.readouterr().err


def test_hidden_states_are_sought_at_steady_arrivals_alone() -> None:
    """Everywhere ours stands first, beside the better of plain and shed; the screen has every policy both ways."""
    steady, bursts, milder = (chosen.chosen_policies(cells[0]) for cells in (cell.STEADY, cell.BURSTS, cell.MILDER))
    assert set(steady) - set(bursts) == set(chosen.WITH_HIDDEN) and set(milder) < set(bursts)
    assert {each[0] for each in (steady, bursts, milder)} == {"bid-price"} and "shed(sarathi)" in milder
    screened = chosen.screened_policies()
    assert len(screened) == len(set(screened)) and {"svf", "shed(svf)", "aptserve:forms=kv"} <= set(screened)


def test_the_first_ratio_is_the_geometric_mean_over_cells_of_paired_seeds() -> None:
    """Seeds of 2 and 8 times, and of 8 and 2, have 4 each: an interval of no width; of one seed there is none."""
    found = held({"fcfs": ((1.0, 2.0), (1.0, 2.0)), "slai": ((2.0, 16.0), (8.0, 4.0))})
    times = tables.times(found, TWO, 0.9, "slai", "fcfs")
    assert (times.mean, times.low, times.high) == pytest.approx((4.0, 4.0, 4.0))
    one = held({"fcfs": ((1.0,), (2.0,)), "slai": ((2.0,), (16.0,))})
    assert tables.times(one, TWO, 0.9, "slai", "fcfs").mean == pytest.approx(4.0)
    assert math.isnan(tables.times(one, TWO, 0.9, "slai", "fcfs").low)


def test_the_better_of_plain_and_shed_is_ranked_and_who_holds_nothing_is_not() -> None:
    """`c` holds no rate at one cell, `d` was not searched."""
    rates = {"fcfs": 1.0, "a": 3.0, "shed(a)": 2.0, "b": 1.0, "shed(b)": 4.0}
    found = held({name: ((rate,), (rate,)) for name, rate in rates.items()} | {"c": ((9.0,), (math.nan,))})
    assert tables.ranked(found, TWO, 0.9, ["fcfs", "a", "b", "c", "d"]) == ["shed(b)", "a", "fcfs"]


def test_a_row_has_plain_and_shed_and_a_dash_for_what_is_not_known() -> None:
    """The best stands first; three digits, without a point behind the last."""
    rates = {"fcfs": ((1.0,), (100.0,)), "a": ((2.0,), (200.0,)), "shed(a)": ((3.0,), (300.0,))}
    found = held({**rates, "c": ((9.0,), (math.nan,))})
    lines = tables.screen_table(found, TWO, 0.9, ["fcfs", "a", "c"]).splitlines()
    assert lines[0] == "| policy | ShareGPT | HumanEval | times `fcfs` |"
    assert lines[2:] == [
        "| `a` | 2.00 / 3.00 | 200 / 300 | 2.00 / 3.00 |",
        "| `fcfs` | 1.00 | 100 | 1.00 |",
        "| `c` | 9.00 | - | - |",
    ]


def test_a_cell_of_its_own_level_stands_among_those_of_the_lowest() -> None:
    """Its heading says so; the table of the other level leaves it out, and who was not searched at that level."""
    found = held({"fcfs": ((1.0,), (2.0,))}) | held({"fcfs": ((0.5,), (1.0,))}, 0.99)
    found[HARD, 0.75, "fcfs"] = capacity("fcfs", 0.75, (4.0,))
    found[TWO[0], 0.9, "slai"] = capacity("slai", 0.9, (1.5,))
    head, _, row, other = tables.rate_table(found, [*TWO, HARD], 0.9).splitlines()
    assert head.split(" | ")[1:4] == ["ShareGPT", "HumanEval", "LongBench at 75%"]
    assert (row, other) == ("| `fcfs` | 1.00 | 2.00 | 4.00 |  |", "| `slai` | 1.50 | - | - | - |")
    assert tables.rate_table(found, [*TWO, HARD], 0.99).splitlines()[2:] == ["| `fcfs` | 0.500 | 1.00 |  |"]


def test_who_is_behind_by_more_than_chance_is_marked() -> None:
    """Behind `b` with each seed by about a fifth; behind `c` by chance; ahead of `a`; `d` was not searched."""
    own = (1.0, 1.1, 0.9)
    rates = {"own": own, "a": (0.50, 0.56, 0.45), "b": (1.20, 1.33, 1.08), "c": (0.9, 1.3, 0.9)}
    found = held({name: (each, each) for name, each in rates.items()})
    lines = tables.over_table(found, TWO, 0.9, "own", ["a", "b", "c", "d"]).splitlines()
    marks = [tables.BEHIND in line for line in lines[2:]]
    assert marks == [False, True, False] and lines[3].count("**0.831 (") == 2


def test_the_better_of_several_is_chosen_at_each_cell() -> None:
    """Twice `b` at the first and three times `a` at the second: the square root of six in the mean."""
    found = held({"own": ((2.0,), (3.0,)), "a": ((0.5,), (1.0,)), "b": ((1.0,), (0.5,))})
    row = tables.better_table(found, TWO, 0.9, [("own", ("a", "b"))]).splitlines()[2]
    assert row == "| `own` over `a` or `b` | 2.00 | 3.00 | 2.45 |"


def test_an_aim_is_missed_where_the_mean_is_below_it() -> None:
    """A mean of 2 reaches 2 and misses 2.1; a pair without an aim has an empty place, one without a mean the aim."""
    found = held({"own": ((2.0,), (2.0,)), "a": ((1.0,), (1.0,)), "c": ((1.0,), (math.nan,))})
    pairs = [("own", ("a",)), ("own", ("a",)), ("own", ("c",)), ("own", ("a",))]
    lines = tables.better_table(found, TWO, 0.9, pairs, (2.0, 2.1, 1.5)).splitlines()
    assert [line.split(" | ")[-1] for line in [lines[0], *lines[2:]]] == [
        "aim |",
        "2.00, met |",
        f"2.10, {tables.BEHIND} missed |",
        "1.50 |",
        " |",
    ]


def test_without_lengths_the_dearest_prompts_are_dropped() -> None:
    """Of ten short prompts of 1 and 3 s and ten long of 4 s the half kept takes 20 s: the short ones' mean is 2."""
    prompts = np.repeat([10, 1000], 10)
    seconds = np.where(prompts == 10, np.tile([1.0, 3.0], 10), 4.0)
    assert without_lengths.lowest_rate(prompts, [seconds, seconds / 2], 0.5) == pytest.approx(20 / 20.0)


def test_a_ttft_is_three_prefills_and_at_least_a_second(tmp_path: Path) -> None:
    """A short prompt has a second, a long one more; the file keeps arrivals and lengths."""
    trace = Trace(np.array([0.0, 1.5]), np.array([100, 8000]), np.array([3, 4]))
    short_s, long_s = azure.ttft_s(trace, **cell.LLAMA)
    assert short_s == 1.0 < long_s
    (tmp_path / "trace.csv").write_text("arrived_at_s,prompt_tokens,output_tokens\n0,100,3\n1.5,8000,4\n")
    written = azure.with_own_ttft(tmp_path / "trace.csv", tmp_path / "azure.csv", **cell.LLAMA)
    assert written.read_text().splitlines() == [
        "arrived_at_s,prompt_tokens,output_tokens,slo_ttft_s",
        f"0.0,100,3,{short_s}",
        f"1.5,8000,4,{long_s}",
    ]


def test_rates_are_those_of_the_command_and_are_read_back(tmp_path: Path) -> None:
    """In a folder of the cell, with the options that `aptsched capacity` would record; tables read the same figures."""
    extent = cell.Extent({"": (60.0, 10.0)}, seed=3, num_seeds=1, jitter=None)
    study = cell.searched(HARD, ["fcfs", "shed(fcfs)"], extent, tmp_path, 1)
    options = json.loads((tmp_path / "longbench-cv4" / "capacity.json").read_text(encoding="utf-8"))["options"]
    assert (options["workload"], options["cv"], options["duration"], options["warmup"]) == ("longbench", 4, 60, 10)
    assert (options["setting"], options["seeds"], options["seed"]) == (["sustained"], 1, 3)
    found = results.held(cell.BURSTS, tmp_path)
    assert list(found) == [(HARD, level, name) for level in HARD.levels for name in ("fcfs", "shed(fcfs)")]
    assert [each.rates_per_s for each in found.values()] == [each.rates_per_s for each in study.capacities]
    assert main.main(["--out", str(tmp_path / "none")]) == 0
