"""The benchmark of prices: it looks on, and says what its rows say."""

from __future__ import annotations

import pytest

prices = pytest.importorskip("benchmarks.prices", reason="the benchmarks are in a checkout")
cell = pytest.importorskip("benchmarks.opponents.cell")

from aptsched.policies import BidPrice  # noqa: E402  # after what may skip the file


def test_who_is_looked_at_decides_as_ever() -> None:
    """Every request ends as it does with `bid-price` itself, token by token, and each rejection is noted."""
    long_prompts, policy = cell.STEADY[2], prices.SeenBidPrice()
    run = prices.served(long_prompts, 2.0, policy, end_s=80.0)
    assert run.records == prices.served(long_prompts, 2.0, BidPrice(), end_s=80.0).records
    row = prices.row(long_prompts, 2.0, policy, run)
    assert 0 < row["rejected"] < 1 and row["told in time"] == 1.0
    num_told = sum(arrived_s >= prices.WARMUP_S for arrived_s, _ in policy.told)
    assert row["rejected"] == num_told / len(run.records)
