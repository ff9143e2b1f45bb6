"""Logits on every path through the cache are those of a plain reference that has no blocks, batches or chunks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.token_sizes import hidden_ratio
from devices import DEVICES
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.torch_executor import TorchExecutor
from feeder import NUM_BLOCKS, NUM_HOST_BLOCKS, Feeder
from plain_forms import FullAttention, PlainForms
from plain_model import plain_logits

SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "num_layers": 3,
    "intermediate_size": 96,
    "max_positions": 128,
    "norm_eps": 1e-5,
}
OPT: dict[str, Any] = {
    "architecture": architecture.OPT,
    "activation": "relu",
    "attention_bias": True,
    "mlp_bias": True,
    "tied": True,
}
LLAMA: dict[str, Any] = {"architecture": architecture.LLAMA, "activation": "silu"}
MODELS = {
    "opt, ratio 1/2": ModelConfig(**SIZES, **OPT, hidden_size=48, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama MHA, ratio 1/3": ModelConfig(**SIZES, **LLAMA, hidden_size=32, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama GQA, ratio 3/4": ModelConfig(**SIZES, **LLAMA, hidden_size=48, num_heads=4, num_kv_heads=2, head_dim=16),
    "llama GQA, ratio 2": ModelConfig(**SIZES, **LLAMA, hidden_size=64, num_heads=4, num_kv_heads=1, head_dim=16),
}
# Hidden states are always rebuilt, absorbed up to as many new tokens as is cheaper, and always absorbed.
CASES = [(name, limit) for name in MODELS for limit in (0, None, 1000) if limit is None or name != "llama GQA, ratio 2"]


def exact_forms(config: ModelConfig) -> list[CacheForm]:
    """KV, and hidden where it is smaller."""
    ratio = hidden_ratio(config.hidden_size, config.num_kv_heads, config.head_dim)
    return [CacheForm.KV, CacheForm.HIDDEN] if ratio < 1 else [CacheForm.KV]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "absorb_up_to"), CASES)
def test_logits_are_those_of_full_attention(name: str, absorb_up_to: int | None, device: str) -> None:
    """Prefill, chunks, decode, exact forms, absorbed and rebuilt, swaps, conversions, any blocks: all give the same."""
    config, rng = MODELS[name], np.random.default_rng(1)
    weights = random_weights(config, torch.Generator().manual_seed(1), device=device)
    executor = TorchExecutor(Decoder(config, weights), NUM_BLOCKS, NUM_HOST_BLOCKS, absorb_up_to)

    def expected(token_ids: list[int]) -> FullAttention:
        return FullAttention(plain_logits(config, weights, token_ids).cpu())

    feeder = Feeder(executor, exact_forms(config), {CacheForm.HIDDEN: CacheForm.KV}, expected, rng)
    checked = [pair for _ in range(150) for pair in feeder.step()]
    assert len(checked) > 300
    for found, wanted in checked:
        assert (found - wanted).abs().max() <= 1e-4 + 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "absorb_up_to"), CASES)
def test_logits_depend_on_forms_and_conversions_alone(name: str, absorb_up_to: int | None, device: str) -> None:
    """Which tokens were rounded to 8 bits, and when, is all that matters: no batch, chunk, swap or block changes them.

    In float64, where no sum differs by enough to be rounded to another of the 255 values.
    """
    config, rng = MODELS[name], np.random.default_rng(2)
    weights = random_weights(config, torch.Generator().manual_seed(2), torch.float64, device)
    executor = TorchExecutor(Decoder(config, weights), NUM_BLOCKS, NUM_HOST_BLOCKS, absorb_up_to)
    forms = [*exact_forms(config), CacheForm.INT8]
    becomes = {CacheForm.HIDDEN: CacheForm.KV, CacheForm.KV: CacheForm.INT8}
    feeder = Feeder(executor, forms, becomes, partial(PlainForms, config, weights), rng)
    checked = [pair for _ in range(150) for pair in feeder.step()]
    assert len(checked) > 300 and feeder.num_conversions > 20
    for found, wanted in checked:
        assert (found - wanted).abs().max() <= 1e-9 * wanted.abs().max()
        assert found.argmax() == wanted.argmax()
