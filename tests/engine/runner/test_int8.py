"""Int8: what is read is near what was written, for any numbers and dtype, and lies where the form says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from devices import DEVICES
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.int8 import Int8Blocks, quantised
from engine.runner.forms.scratch import Scratch

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
LARGEST_SCALE = {torch.float16: 2.0**9}  # 2^15 elsewhere
numbers = st.lists(
    st.sampled_from([0.0, -0.0, 5e-324, 1e-40, 6e-8, 1e-5, 65504.0, 1e30]) | st.floats(-9, 9), min_size=1
)


def blocks(dtype: torch.dtype, num_kv_heads: int = 2, head_dim: int = 6, device: str = "cpu") -> Int8Blocks:
    """Ten blocks of a model with two layers."""
    config = ModelConfig(
        architecture=architecture.LLAMA,
        vocab_size=16,
        hidden_size=8,
        num_layers=2,
        num_heads=2 * num_kv_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        intermediate_size=8,
        max_positions=256,
        activation="silu",
        norm_eps=1e-5,
    )
    decoder = Decoder(config, random_weights(config, torch.Generator().manual_seed(0), dtype, device))
    storage = CacheStorage(config, 10, dtype, decoder.device)
    return Int8Blocks(decoder, storage, Scratch(storage.row, dtype, decoder.device))


def drawn(form: Int8Blocks, num_tokens: int) -> torch.Tensor:
    """K and V of so many tokens, each head of another size."""
    generator = torch.Generator().manual_seed(num_tokens)
    kv = torch.randn(num_tokens, 2, form.heads // 2, form.head_dim, generator=generator)
    size = torch.logspace(-6, 3, num_tokens * form.heads).view(num_tokens, 2, -1, 1)
    return (kv * size).to(form.scratch.all_rows)


@pytest.mark.parametrize("dtype", DTYPES)
@given(numbers)
@example([0.0] * 64)
def test_a_value_is_read_within_half_a_scale(dtype: torch.dtype, row: list[float]) -> None:
    """And what fp16 and the dtype round off; what is tiny within 4e-6, what is beyond 127 largest scales as that."""
    x = torch.tensor(row, dtype=torch.float64).clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max).to(dtype)
    values, scale = quantised(x)
    most = 127 * LARGEST_SCALE.get(dtype, 2.0**15)
    read = values.to(dtype) * scale.to(dtype)
    error = (read.double() - x.double().clamp(-most, most)).abs().max()
    rounding = torch.finfo(dtype).eps * min(most, float(x.abs().max()))
    assert read.isfinite().all() and error <= max(0.501 * float(scale) + rounding, 4e-6)
    assert values.abs().max() <= 127 and (read[x == 0] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_is_read_as_nan(dtype: torch.dtype, value: float) -> None:
    """So that its logits are not taken for numbers; other rows are as ever."""
    _, scale = quantised(torch.tensor([[1.0, value], [1.0, 2.0]], dtype=dtype))
    assert scale.isnan().tolist() == [True, False]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("num_kv_heads", "head_dim"), [(1, 2), (2, 6), (3, 64), (4, 128), (1, 80)])
def test_a_block_holds_as_many_tokens_as_the_ratio_says(dtype: torch.dtype, num_kv_heads: int, head_dim: int) -> None:
    """floor(block_size / ratio) of (head_dim + 2) / (head_dim * bytes of the dtype), for any number of heads."""
    ratio = Fraction(head_dim + 2, head_dim * torch.empty((), dtype=dtype).element_size())
    assert blocks(dtype, num_kv_heads, head_dim).tokens_per_block == int(16 / ratio)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tokens_read_what_their_prefill_saw(dtype: torch.dtype, device: str) -> None:
    """Written whole or one by one, alone or beside others: the same bits as `as_read` gives."""
    form = blocks(dtype, device=device)
    per_block, length = form.tokens_per_block, 2 * form.tokens_per_block + 3
    kv, table = drawn(form, length), np.array([[7, 2, 5], [1, 9, -1]])
    positions = np.arange(length)
    form.writer(table, np.zeros(length, np.int64), positions)(1, kv)
    for position in range(per_block + 1):
        at = np.array([position])
        form.writer(table, np.array([1]), at)(1, kv[position : position + 1])
    read = form.reader(table, np.array([length, per_block + 1]))(1)
    assert read.shape == (2, form.length(length), 2, 2, 6)
    assert torch.equal(read[0, :length], form.as_read(kv))
    assert torch.equal(read[1, : per_block + 1], form.as_read(kv)[: per_block + 1])
    assert not form.blocks[0].any(), "another layer"


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_stand_before_scales(dtype: torch.dtype) -> None:
    """Byte by byte where the docstring says: values [t, 2, heads, head_dim] from byte 0, then scales [t, 2, heads]."""
    form = blocks(dtype)
    kv, last = drawn(form, 1), form.tokens_per_block - 1
    form.writer(np.array([[3]]), np.array([0]), np.array([last]))(0, kv)
    block = form.blocks[0, 3].numpy().tobytes()
    row, end = form.heads * form.head_dim, form.tokens_per_block * form.heads * form.head_dim
    values = np.frombuffer(block[last * row : end], np.int8).reshape(1, 2, 2, 6)
    scales = np.frombuffer(block[end + 2 * last * form.heads : end + 2 * (last + 1) * form.heads], np.float16)
    read = torch.from_numpy(values * scales.astype(np.float64).reshape(1, 2, 2, 1))
    assert torch.equal(read.to(dtype), form.as_read(kv))
