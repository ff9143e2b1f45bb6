"""Q, K and V are the same whether one matrix gives them or two, and one is packed where all three are always wanted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models import architecture
from engine.models.checkpoint import DTYPES
from engine.models.config import ModelConfig
from engine.models.matmul import packs
from engine.models.qkv import QKV
from engine.models.rope import Rope
from engine.models.weights import Linear

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "architecture": architecture.LLAMA,
    "vocab_size": 16,
    "hidden_size": 24,
    "num_layers": 1,
    "num_heads": 4,
    "head_dim": 8,
    "intermediate_size": 16,
    "max_positions": 32,
    "activation": "silu",
    "norm_eps": 1e-5,
}


def projections(num_kv_heads: int, dtype: torch.dtype) -> tuple[QKV, torch.Tensor, Rope]:
    """Those of a layer with a bias, what it multiplies, [7, hidden], and RoPE."""
    config = ModelConfig(**SIZES, num_kv_heads=num_kv_heads, attention_bias=True)
    generator = torch.Generator().manual_seed(0)
    rows = (4 + 2 * num_kv_heads) * 8
    weight, bias, hidden = (torch.randn(shape, generator=generator).to(dtype) for shape in ((rows, 24), rows, (7, 24)))
    return QKV(config, Linear(weight, bias)), hidden, Rope(config, CPU, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_kv_heads", [1, 4])
def test_all_are_rows_of_one_product_and_q_and_k_are_turned(num_kv_heads: int, dtype: torch.dtype) -> None:
    """With hidden states larger than K and V, and smaller; packed and not; token i is at position i + 3."""
    qkv, hidden, rope = projections(num_kv_heads, dtype)
    plain, _ = qkv(hidden, None, needs_kv=False)
    q, kv = qkv(hidden, rope.angles(torch.arange(3, 10)), needs_kv=True)
    assert kv is not None and q.shape == (7, 4, 8) and kv.shape == (7, 2, num_kv_heads, 8)
    before = qkv.keys_and_values(hidden, None)
    torch.testing.assert_close(kv[:, 1], before[:, 1])
    turned = torch.view_as_complex(torch.stack((rope.cos, rope.sin), -1).contiguous())[3:10, None]
    for heads, found in ((plain, q), (before[:, 0], kv[:, 0])):
        expected = torch.complex(*heads.chunk(2, dim=-1)) * turned
        torch.testing.assert_close(found, torch.cat((expected.real, expected.imag), -1))


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("num_kv_heads", [1, 4])
def test_one_matrix_is_packed_where_hidden_states_are_no_smaller(num_kv_heads: int, dtype: torch.dtype) -> None:
    """One KV head: 24 numbers against 16; four: against 64, and the hidden form may leave K and V out."""
    qkv, hidden, _ = projections(num_kv_heads, dtype)
    assert qkv.is_whole == (num_kv_heads == 1 and packs(CPU, dtype))
    assert (qkv.kv_parts is None) == (num_kv_heads == 1)
    q, kv = qkv(hidden, None, needs_kv=False)
    assert (kv is None) == (not qkv.is_whole) and q.shape == (7, 4, 8)
