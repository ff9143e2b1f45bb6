"""The matrices of K and V apart: what they give, and which memory they take."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.matmul import packs
from engine.models.random_weights import random_weights
from engine.models.weights import Weights

SIZES: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 24,
    "num_layers": 2,
    "num_heads": 4,
    "head_dim": 10,
    "intermediate_size": 16,
    "max_positions": 64,
    "norm_eps": 1e-5,
}
LLAMA = ModelConfig(
    **SIZES, architecture=architecture.LLAMA, activation="silu", num_kv_heads=2, attention_bias=True
)  # ratio 24 / 40
OPT = ModelConfig(
    **{**SIZES, "head_dim": 6},
    architecture=architecture.OPT,
    activation="relu",
    num_kv_heads=4,
    attention_bias=True,
    mlp_bias=True,
)
DTYPES = [torch.float32, torch.bfloat16, torch.float64]


def made(config: ModelConfig, dtype: torch.dtype) -> tuple[Decoder, Weights]:
    """A random model, and its tensors."""
    weights = random_weights(config, torch.Generator().manual_seed(0), dtype)
    return Decoder(config, weights), weights


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("config", [LLAMA, OPT], ids=["llama", "opt"])
def test_both_parts_give_what_the_product_by_both_gives(config: ModelConfig, dtype: torch.dtype) -> None:
    """K with its bias before RoPE; the matrices of K and of V, with their biases."""
    decoder, weights = made(config, dtype)
    parts, hidden = decoder.kv_parts(1), torch.randn(5, config.hidden_size).to(dtype)
    keys, values = decoder.layers[1].qkv.keys_and_values(hidden, None).unbind(1)
    assert parts.value_bias is not None
    found = torch.einsum("th,kdh->tkd", hidden, parts.value_matrix) + parts.value_bias
    close = (
        partial(torch.allclose, rtol=0.05, atol=0.05) if dtype == torch.bfloat16 else partial(torch.allclose, atol=1e-6)
    )
    assert close(found, values)
    if parts.keys is not None:
        assert close(parts.keys(hidden).view_as(keys), keys)
    bias = weights.layers[1].qkv.bias
    assert bias is not None
    rows = config.num_heads * config.head_dim
    found = torch.einsum("th,kdh->tkd", hidden, parts.key_matrix) + bias[rows : rows + keys[0].numel()].view(
        keys.shape[1:]
    )
    assert close(found, keys)


@pytest.mark.parametrize("dtype", DTYPES)
def test_they_are_views_where_nothing_is_packed(dtype: torch.dtype) -> None:
    """Where weights are packed they are copies, so that the plain matrix of Q, K and V is not kept beside them."""
    decoder, weights = made(OPT, dtype)
    whole = weights.layers[0].qkv.weight.untyped_storage().data_ptr()
    parts = decoder.kv_parts(0)
    for matrix in (parts.key_matrix, parts.value_matrix):
        assert (matrix.untyped_storage().data_ptr() != whole) == packs(decoder.device, dtype)
        assert matrix.untyped_storage().nbytes() == matrix.nbytes or not packs(decoder.device, dtype)


def test_a_model_whose_hidden_form_is_never_offered_has_none() -> None:
    """One KV head of 10 values: hidden states take 24 / 20 of K and V."""
    config = ModelConfig(**SIZES, architecture=architecture.LLAMA, activation="silu", num_kv_heads=1)
    decoder, _ = made(config, torch.float32)
    assert all(layer.qkv.kv_parts is None for layer in decoder.layers)
