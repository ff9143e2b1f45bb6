"""The search for the highest rates that hold, on a small pool: its runs are those of simulate, and its bytes equal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aptsched.report.document import as_json
from aptsched.workload.own_columns import OwnColumns
from aptsched.workload.trace import Trace
from engine import CapacityOptions, capacity, simulate
from engine.capacities.capacity import search_capacity
from engine.capacities.capacity_study import CapacityStudy
from small_capacity import LENGTHS, SMALL


@pytest.fixture(scope="module")
def study() -> CapacityStudy:
    return capacity(**SMALL)


def test_every_policy_has_a_rate_in_every_setting(study: CapacityStudy) -> None:
    """Within its interval, and, stretched by no more than what two probed rates are apart, within the bound."""
    assert [(each.policy, each.setting) for each in study.capacities] == [
        (policy, setting) for setting in ("sustained", "paper") for policy in ("fcfs", "aptserve")
    ]
    for each in study.capacities:
        assert each.low < each.rate_per_s < each.high
        assert each.rate_per_s <= 1.03 * each.bound_per_s
        assert each.stable


def test_no_run_attains_a_level_beyond_its_bound(study: CapacityStudy) -> None:
    """Not one of all probes, seed by seed."""
    for group in study.groups:
        for (policy, number), searched in group.searched.items():
            bound = group.bounds[policy, 0.9, number]
            assert all(probe.rate_per_s <= bound for probe in searched.probes if (probe.attained or 0) >= 0.9)


@pytest.mark.parametrize(
    ("setting", "share", "given"),
    [
        ("sustained", "attained", {"duration": 12, "warmup": 2}),
        ("paper", "attained_p99_tbt", {"num_requests": 15}),
    ],
)
def test_a_probe_is_a_run_of_simulate(study: CapacityStudy, setting: str, share: str, given: dict[str, Any]) -> None:
    """At every third rate that was probed, of each policy and seed: its shares and latencies are equal to the bit."""
    rows = [row for row in study.document["probes"] if row["setting"] == setting and row["attained"] is not None][::3]
    assert rows
    for row in rows:
        of_run = simulate(
            trace=LENGTHS,
            policy=row["policy"],
            num_blocks=12,
            rate=row["rate_per_s"],
            seed=row["seed"],
            slo_ttft=0.5,
            slo_tpot=0.2,
            certificates="none",
            **given,
        )
        (summary,) = of_run.document["summary"]
        assert row["attained"] == summary[share]
        assert row["was_stable"] == summary["stable"]
        assert row["p99_latency_s"] == summary["latency"]["p99_s"]
        assert row["tokens_per_s"] == summary["tokens_per_s"]


def test_a_run_that_was_given_up_is_far_below_the_level() -> None:
    """A search that begins far too high gives runs up: served to their end they attain less by a tenth or more."""
    found = capacity(**SMALL | {"rate": 100, "setting": "sustained", "seeds": 1})
    rows = [row for row in found.document["probes"] if row["attained"] is None]
    assert {row["policy"] for row in rows} == {"fcfs", "aptserve"}
    for row in rows:
        case = {"policy": row["policy"], "seed": row["seed"], "rate": row["rate_per_s"], "certificates": "none"}
        whole = simulate(trace=LENGTHS, num_blocks=12, duration=12, warmup=2, slo_ttft=0.5, slo_tpot=0.2, **case)
        assert whole.document["summary"][0]["attained"] <= 0.8


def test_ratios_are_those_of_paired_seeds(study: CapacityStudy) -> None:
    """The geometric mean of the seeds' ratios is the ratio of the means, and all are over the first policy."""
    rates = {(each.policy, each.setting): each.rate_per_s for each in study.capacities}
    assert [each.setting for each in study.comparisons] == ["sustained", "paper"]
    for each in study.comparisons:
        assert (each.policy, each.over) == ("aptserve", "fcfs")
        assert each.ratio == pytest.approx(rates["aptserve", each.setting] / rates["fcfs", each.setting])
        assert each.low < each.ratio < each.high


def ended_after(num_runs: int) -> Callable[[int, int], None]:
    """A progress that presses Ctrl-C once so many runs are done."""

    def told(num_done: int, total: int) -> None:
        if num_done >= num_runs:
            raise KeyboardInterrupt

    return told


def test_a_search_that_was_ended_goes_on_to_the_same_bytes(study: CapacityStudy, tmp_path: Path) -> None:
    """Twice, and on two processes in the end; runs that were kept are not made again."""
    for num_runs in (5, 13):
        ended = search_capacity(CapacityOptions(**SMALL, progress=ended_after(num_runs)), str(tmp_path))
        assert not ended.complete
    kept = set((tmp_path / "probes").iterdir())
    assert len(kept) >= 12
    found = search_capacity(CapacityOptions(**SMALL, jobs=2), str(tmp_path))
    assert found.complete
    assert as_json(found.document) == as_json(study.document)
    assert kept < set((tmp_path / "probes").iterdir())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "probes").iterdir()}
    assert as_json(search_capacity(CapacityOptions(**SMALL), str(tmp_path)).document) == as_json(study.document)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "probes").iterdir()}


def test_another_setup_does_not_take_what_was_kept(tmp_path: Path) -> None:
    """Of a study with another pool, or other objectives, nothing is looked up."""
    few = SMALL | {"setting": "paper", "policy": "fcfs", "seeds": 1}
    search_capacity(CapacityOptions(**few), str(tmp_path))
    for other in ({"num_blocks": 13}, {"objectives": "0.5/0.1"}, {"seed": 1}, {"num_requests": 16}):
        before = set((tmp_path / "probes").iterdir())
        changed = search_capacity(CapacityOptions(**few | other), str(tmp_path))
        num_probes = len(changed.document["probes"])
        assert len(set((tmp_path / "probes").iterdir()) - before) == num_probes


def test_a_file_of_a_kept_run_that_is_damaged_is_made_again(study: CapacityStudy, tmp_path: Path) -> None:
    """And the result is the same."""
    few = SMALL | {"setting": "paper", "policy": "fcfs", "seeds": 1}
    first = search_capacity(CapacityOptions(**few), str(tmp_path))
    damages = ("{", "null", "[]", '{"rate_per_s": "x", "attained": "y"}', None)
    for number, path in enumerate(sorted((tmp_path / "probes").iterdir())):
        text = damages[number % len(damages)]
        path.write_text(text or path.read_text(encoding="utf-8").replace('"attained": 0', '"attained": 1'), "utf-8")
    again = search_capacity(CapacityOptions(**few), str(tmp_path))
    assert again.document == first.document


def test_an_edited_policy_is_run_again(tmp_path: Path) -> None:
    """What was kept of a policy of one's own counts as long as its file is the same."""
    own = tmp_path / "own.py"
    own.write_text("from aptsched.policies import FCFS\n\nclass Own(FCFS):\n    pass\n", encoding="utf-8")
    few = SMALL | {"setting": "paper", "policy": f"{own}:Own", "seeds": 1}
    folder = tmp_path / "found" / "probes"
    search_capacity(CapacityOptions(**few), str(folder.parent))
    num_kept = len(list(folder.iterdir()))
    search_capacity(CapacityOptions(**few), str(folder.parent))
    assert len(list(folder.iterdir())) == num_kept
    own.write_text(own.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    search_capacity(CapacityOptions(**few), str(folder.parent))
    assert len(list(folder.iterdir())) == 2 * num_kept


def test_objectives_that_no_run_attains_are_held_at_no_rate() -> None:
    """However far the search goes down, to rates at which nobody arrives in time."""
    few = {"objectives": "0.001/0.001", "seeds": 1, "policy": "fcfs", "rate": 2.0, "gpus_for": 3.0}
    found = capacity(**SMALL | few)
    assert [each.setting for each in found.capacities] == ["sustained", "paper"]
    assert all(math.isnan(each.rate_per_s) for each in found.capacities)
    assert "none" in repr(found) and "--gpus-for 3: no policy holds a stable rate" in " ".join(repr(found).split())


def test_rates_at_which_all_of_a_trace_arrive_in_the_warm_up_are_not_tried() -> None:
    """The search ends below them, at a rate that is a lower bound, and no bound is sought beyond."""
    rows = [(float(number), prompt, 1) for number, (prompt, _) in enumerate(LENGTHS)]
    few = SMALL | {"trace": rows, "seeds": 1, "policy": "fcfs", "rate": 2.0, "setting": "sustained", "warmup": 8}
    (found,) = capacity(**few | {"objectives": "9/9"}).capacities
    assert found.at_least and 2.0 <= found.rate_per_s <= (len(LENGTHS) - 1) / 8
    assert math.isinf(found.bound_per_s)


def test_a_bound_that_was_not_found_leaves_what_policies_hold(study: CapacityStudy) -> None:
    """As when Ctrl-C ends the study after a search and before the bound: tables and document go without it."""
    ended = replace(study, groups=tuple(replace(group, bounds={}) for group in study.groups), complete=False)
    assert [each.rate_per_s for each in ended.capacities] == [each.rate_per_s for each in study.capacities]
    assert all(math.isnan(each.bound_per_s) for each in ended.capacities)
    assert all(row["bound_per_s"] is row["share_of_bound"] is None for row in ended.document["capacities"])
    assert "nan" not in repr(ended)


def test_without_the_bound_the_rates_are_the_same(study: CapacityStudy) -> None:
    """It is null in the document, and no process seeks it; what an unused option meant is said below the tables."""
    found = capacity(**SMALL | {"setting": "paper"}, no_bound=True)
    of_paper = [each for each in study.capacities if each.setting == "paper"]
    assert [each.rates_per_s for each in found.capacities] == [each.rates_per_s for each in of_paper]
    assert all(row["bound_per_s"] is row["share_of_bound"] is None for row in found.document["capacities"])
    assert not any(group.bounds for group in found.groups)
    assert "--duration 12.0 is of the setting sustained, which is not asked for." in found.document["notices"]


def test_objectives_of_the_requests_own_are_said() -> None:
    """They hold in place of those above the tables."""
    rows = np.array(LENGTHS).T
    few = SMALL | {"setting": "paper", "policy": "fcfs", "seeds": 1, "no_bound": True}
    for own, is_said in ((OwnColumns(slo_ttft_s=np.full(len(LENGTHS), 0.3)), True), (OwnColumns(), False)):
        notices = capacity(**few | {"trace": Trace(None, rows[0], rows[1], own=own)}).document["notices"]
        assert any("objectives of their own" in notice for notice in notices) is is_said


def test_progress_reaches_its_total_once_all_is_done() -> None:
    """It never falls, its total is known from the first seed on, and no more than that is done before the end."""
    told: list[tuple[int, int]] = []
    few = SMALL | {"policy": "fcfs", "setting": "paper", "level": "0.9,0.5"}
    capacity(**few, no_bound=True, progress=lambda num_done, total: told.append((num_done, total)))
    counts, totals = zip(*told, strict=True)
    assert list(counts) == sorted(counts) and len(set(totals)) == 1
    assert len(told) > 10 and counts[-1] == totals[0] - 1  # the last probe is told of before its search has ended


def test_files_of_a_study(study: CapacityStudy, tmp_path: Path) -> None:
    """capacity.json is the document, and there is a plot."""
    written = study.write(tmp_path)
    assert json.loads((tmp_path / "capacity.json").read_text(encoding="utf-8")) == written == study.document
    assert (tmp_path / "capacity.png").read_bytes().startswith(b"\x89PNG")


def test_tables_of_a_study(study: CapacityStudy) -> None:
    """At most 80 columns; each policy has its rate and the bound, and is said to be stable."""
    lines = repr(study).splitlines()
    assert max(map(len, lines)) <= 80
    rates = {f"{each.rate_per_s:.3g}" for each in study.capacities}
    assert all(any(rate in line for line in lines) for rate in rates)
    assert study.to_pandas("probes").shape[0] == len(study.document["probes"])


@pytest.mark.slow
def test_seeds_are_added_until_intervals_are_narrow() -> None:
    """Without a number of seeds; with a wide half width the first five are enough."""
    few = SMALL | {"setting": "sustained", "policy": "fcfs", "seeds": None}
    wide = capacity(**few, half_width=0.9)
    assert [len(each.rates_per_s) for each in wide.capacities] == [5]
    (narrow,) = capacity(**few, half_width=0.08).capacities
    assert 5 < len(narrow.rates_per_s) <= 20
    assert narrow.rates_per_s[:5] == wide.capacities[0].rates_per_s


def test_a_policy_that_fails_leaves_the_others(tmp_path: Path) -> None:
    """Its reason is kept, and it holds nothing."""
    own = tmp_path / "own.py"
    own.write_text("class Fails:\n    def decide(self, view):\n        raise ValueError('no')\n", encoding="utf-8")
    found = capacity(**SMALL | {"policy": f"fcfs,{own}:Fails", "setting": "paper", "seeds": 1})
    assert [each.policy for each in found.capacities] == ["fcfs"]
    assert [run.policy for run in found.failed] == [f"{own}:Fails"]
    assert "ValueError" in found.failed[0].reason


def test_a_policy_that_always_idles_is_found_by_a_few_requests(tmp_path: Path) -> None:
    """It fails by a message that says so, before it idles through the time of a whole run."""
    own = tmp_path / "own.py"
    nothing = "return Plan(*[np.zeros(0, np.int64)] * 3)"
    body = f"class Idles:\n    def decide(self, view):\n        {nothing}\n"
    own.write_text(f"import numpy as np\nfrom aptsched import Plan\n\n{body}", encoding="utf-8")
    found = capacity(**SMALL | {"policy": f"fcfs,{own}:Idles"})
    assert [each.policy for each in found.capacities] == ["fcfs"] * 2
    assert {run.reason for run in found.failed} == {
        f"policy {own}:Idles: nothing ran in 1000 decisions in a row, though 8 requests waited"
    }
    assert not any(row["policy"] != "fcfs" for row in found.document["probes"])
