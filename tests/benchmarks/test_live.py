"""What the live benchmark says of its runs: medians over rounds, and how hidden states were read."""

from __future__ import annotations

import argparse
from typing import Any

from aptsched.policies.aptserve import AptServe
from aptsched.scheduling.forms import CacheForm
from benchmarks.live import requests, row
from engine.study.serving import NamedPolicy
from engine.study.simulate import simulate


def test_a_row_has_the_median_of_the_rounds_and_their_extremes() -> None:
    """By deadlines and by the P99 of TBTs; shares of the pool are medians as well, and what is rebuilt is named so."""
    same: dict[str, Any] = {
        "workload": "sharegpt",
        "rate": 4,
        "num_requests": 60,
        "policy": "aptserve",
        "num_blocks": 300,
    }
    runs = [run for seed in range(3) for run in simulate(**same, seed=seed).runs]
    by_deadlines = sorted(run.metrics.attained for run in runs)
    by_p99 = sorted(run.metrics.attained_p99_tbt for run in runs)
    found = row((NamedPolicy("aptserve", AptServe), "rebuilt"), 4.0, runs)
    assert found["policy"] == "aptserve, rebuilt"
    assert by_deadlines != by_p99
    for name, shares in (("attained", by_deadlines), ("p99_tbt", by_p99)):
        assert [found[f"{name}_least"], found[name], found[f"{name}_most"]] == shares
    assert found["kv_share"] == sorted(run.usage.share_of(CacheForm.KV) for run in runs)[1]


def test_all_policies_get_the_same_requests_at_each_rate() -> None:
    """Lengths are those of the seed, clipped; only arrivals depend on the rate."""
    options = argparse.Namespace(
        workload="humaneval",
        num_requests=20,
        cv=2.0,
        seed=5,
        slo_ttft=1.0,
        slo_tpot=0.5,
        max_prompt_tokens=40,
        max_output_tokens=8,
    )
    slow, fast = requests(options, 1.0, 100), requests(options, 4.0, 100)
    assert slow.num_prompt_tokens.tolist() == fast.num_prompt_tokens.tolist()
    assert slow.num_prompt_tokens.max() == 40
    assert slow.num_output_tokens.max() == 8
    assert slow.last_arrival_s > 2 * fast.last_arrival_s
    assert slow.vocab_size == 100
