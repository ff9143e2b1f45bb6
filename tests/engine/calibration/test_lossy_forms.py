"""Forms that round are measured on blocks of their own."""

from __future__ import annotations

import torch

from aptsched.scheduling.forms import CacheForm, lossy_ratios
from engine.calibration.measure import DECODES, calibrate
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.torch_executor import TorchExecutor

SMALL = ModelConfig(
    architecture=architecture.OPT,
    vocab_size=64,
    hidden_size=32,
    num_layers=1,
    num_heads=2,
    num_kv_heads=2,
    head_dim=16,
    intermediate_size=32,
    max_positions=1200,
    activation="relu",
    norm_eps=1e-5,
)


def test_decodes_in_int8_are_measured_beside_kv() -> None:
    """All that fit beside KV; as sampling refuses what is no number, none is read that another form had written."""
    num_blocks = 400
    executor = TorchExecutor(Decoder(SMALL, random_weights(SMALL, torch.Generator().manual_seed(0))), num_blocks)
    cache = SMALL.cache().with_forms(lossy_ratios(SMALL, number_bytes=4))
    measured = calibrate(executor, cache, num_blocks, SMALL.max_positions, ("small", "cpu", "fp32"))
    found = [point.num_context_tokens for point in measured.points if point.kv_blocks_by_form[CacheForm.INT8]]
    blocks = {each: [each[0] * cache.blocks(each[1] + 1, form) for form in (1, CacheForm.INT8)] for each in DECODES}
    assert sorted(found) == sorted(size * cached for (size, cached), each in blocks.items() if sum(each) <= num_blocks)
    assert len(found) == len(DECODES)
