"""The published numbers as data: complete, each once, on settings that are known here."""

from __future__ import annotations

from pathlib import Path

import pytest

from aptsched.policies import load_policy
from aptsched.workload.synthetic import WORKLOADS
from engine.models.known_models import MODELS

published = pytest.importorskip("benchmarks.reproduce.published", reason="the benchmarks are in a checkout")
PAGE = Path(__file__).parents[2] / "docs" / "reproduction.md"


def test_the_page_has_every_number() -> None:
    """Each with its figure, in the table of docs/reproduction.md."""
    text = PAGE.read_text(encoding="utf-8")
    for row in published.PUBLISHED:
        of = row.system if row.other is None else f"{row.system} over {row.other}"
        assert f"| {row.source} | {of} | {row.quantity} | {row.setting} | {row.shown} |" in text


def test_each_number_is_there_once() -> None:
    """No two are of the same quantity and system in the same setting."""
    rows = [(row.quantity, row.system, row.other, row.setting) for row in published.PUBLISHED]
    assert len(set(rows)) == len(rows) == 38


def test_a_policy_stands_for_each_system() -> None:
    """By a name that is known; and there is no other system."""
    systems = {name for row in published.PUBLISHED for name in (row.system, row.other) if name is not None}
    assert systems == set(published.POLICIES)
    assert all(load_policy(policy) for policy in published.POLICIES.values())


def test_settings_are_known() -> None:
    """Models and lengths of all numbers but those of section 6.7."""
    for row in published.PUBLISHED:
        if row.source != "section 6.7":
            assert set(row.models) <= set(MODELS) & set(published.NUM_GPUS)
            assert set(row.sets) <= set(WORKLOADS)


def test_values_have_units() -> None:
    """Shares as percentages, short times in milliseconds, ratios and rates as they are."""
    shown = {row.shown for row in published.PUBLISHED}
    assert {"2.3 x", "2.6 req/s", "65.7%", "0.3 ms", "30 s"} <= shown


def test_the_most_is_no_less_than_the_mean() -> None:
    """And it takes less to hold 60% than 90%: ratios over the same baseline are larger there."""
    ratios = {
        (row.other, row.level, row.over): row.value
        for row in published.PUBLISHED
        if row.quantity == published.Quantity.CAPACITY_RATIO and row.sets == published.SETS
    }
    assert len(ratios) == 12
    for other, level, over in ratios:
        assert ratios[other, level, "most"] >= ratios[other, level, "mean"]
        assert ratios[other, 0.6, over] > ratios[other, 0.9, over]
