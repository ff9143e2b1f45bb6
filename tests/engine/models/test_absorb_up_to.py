"""Up to how many new tokens attention over hidden states is cheaper absorbed than by rebuilding K and V."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.architecture import LLAMA
from engine.models.config import ModelConfig
from engine.models.find_config import find_config


def config(hidden_size: int, num_heads: int, num_kv_heads: int, head_dim: int) -> ModelConfig:
    """A Llama of these sizes for up to 2,000 tokens."""
    return ModelConfig(
        architecture=LLAMA,
        vocab_size=16,
        hidden_size=hidden_size,
        num_layers=1,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        intermediate_size=8,
        max_positions=2000,
        activation="silu",
        norm_eps=1e-5,
    )


SIZES = st.builds(
    lambda hidden_size, kv_heads, sharing, half: config(hidden_size, kv_heads * sharing, kv_heads, 2 * half),
    st.integers(1, 600),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(1, 64),
)


@given(SIZES)
def test_more_new_tokens_are_cheaper_rebuilt(sizes: ModelConfig) -> None:
    """FLOPs a cached token, counted product by product: absorbed is no dearer up to the limit, and dearer beyond."""
    hidden, heads, dim, kv_values = sizes.hidden_size, sizes.num_heads, sizes.head_dim, 2 * sizes.num_kv_heads

    def flops(num_new: int) -> tuple[int, int]:
        scores_and_sums = 2 * 2 * heads * num_new
        return scores_and_sums * hidden, 2 * hidden * kv_values * dim + scores_and_sums * dim

    limit = sizes.absorb_up_to
    absorbed, rebuilt = flops(limit)
    assert 0 <= limit <= sizes.max_positions and absorbed <= rebuilt
    absorbed, rebuilt = flops(limit + 1)
    assert absorbed > rebuilt or limit == sizes.max_positions


@pytest.mark.parametrize(("name", "limit"), [("opt-125m", 69), ("opt-13b", 131), ("llama-2-7b", 132)])
def test_limits_of_known_models(name: str, limit: int) -> None:
    """head_dim hidden_size / (hidden_size - head_dim) where each head has K and V of its own, rounded down."""
    assert find_config(name).absorb_up_to == limit
