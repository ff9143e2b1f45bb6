"""What the keys form costs: its bytes, twice, and conversions; its products take less time than that."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.token_sizes import TWO_BYTES, keys_ratio, num_kept
from caches import cache_of
from engine.models.config import ModelConfig
from engine.models.known_models import MODELS
from engine.simulator.gpus import GPU, GPUS
from engine.simulator.hidden_cost import TILE_ROWS
from engine.simulator.work import work_of
from engine.state.batch import Batch, Conversion
from engine.state.request import Request

MHA = [config for config in MODELS.values() if keys_ratio(config, TWO_BYTES)]


def test_keys_are_read_twice_by_their_bytes_and_turned_into_kv_by_projecting() -> None:
    """At 9/16 of KV the bytes of 50 cached tokens count as 56.25; 12 converted from KV are read, 7 to KV rebuilt."""
    first, second = Request(0, 0.0, 101), Request(1, 0.0, 51)
    conversions = [
        Conversion(first, 12, CacheForm.KV, CacheForm.KEYS, np.arange(1), np.arange(1)),
        Conversion(second, 7, CacheForm.KEYS, CacheForm.KV, np.arange(1), np.arange(1)),
    ]
    start, ones = np.array([100, 50]), np.ones(2, np.int64)
    form, table = np.array([CacheForm.KV, CacheForm.KEYS]), np.zeros((2, 7), np.int64)
    batch = Batch([first, second], start, ones, form, table, np.ones(2, np.bool_), conversions)
    work = work_of(batch, cache_of(keys=Fraction(9, 16)))
    assert (work.context_tokens, work.rebuilt_tokens, work.dequantised_tokens) == (100 + 56.25 + 12, 7, 0)


@pytest.mark.parametrize("gpu", GPUS.values(), ids=lambda gpu: gpu.name)
@pytest.mark.parametrize("config", MHA, ids=lambda config: config.name)
def test_products_with_keys_take_less_time_than_reading_them_twice(config: ModelConfig, gpu: GPU) -> None:
    """By the shares of the peak that absorbed attention reaches: so a decode has no charge for keys but their bytes."""
    width, reached = config.hidden_size + num_kept(config.hidden_size), gpu.efficiency
    filled = config.num_heads / (TILE_ROWS * -(-config.num_heads // TILE_ROWS))
    flops = 2 * config.num_heads * width + 2 * config.hidden_size
    multiplied_s = flops / (gpu.flops_per_s * reached.absorbed * filled)
    assert multiplied_s < 2 * 2 * width / (gpu.bandwidth_bytes_per_s * reached.bandwidth)
