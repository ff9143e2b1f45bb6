"""Models by name, with their published sizes, to compute their memory and time; without weights."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.models.architecture import LLAMA, OPT
from engine.models.config import ModelConfig
from engine.models.experts import Experts
from engine.models.hf_families import FAMILIES
from engine.models.plain_sizes import plain_sizes

QWEN2 = FAMILIES["qwen2"].architecture


def _opt(name: str, num_layers: int, hidden_size: int, num_heads: int) -> ModelConfig:
    """OPT (Zhang et al., arXiv 2205.01068, table 1): an MLP of 4 d, a learned table of 2048 positions and 2 rows."""
    return ModelConfig(
        OPT, 50272, hidden_size, num_layers, num_heads, num_heads, hidden_size // num_heads, 4 * hidden_size, 2048,
        activation="relu", norm_eps=1e-5, attention_bias=True, mlp_bias=True, tied=True, name=name,
    )  # fmt: skip


def _llama_2(name: str, num_layers: int, hidden_size: int, heads: tuple[int, int], ffn: int) -> ModelConfig:
    """Touvron et al., arXiv 2307.09288, and the configurations published with the weights."""
    return ModelConfig(
        LLAMA, 32000, hidden_size, num_layers, *heads, 128, ffn, 4096, activation="silu", norm_eps=1e-5, name=name
    )


MODELS: Mapping[str, ModelConfig] = MappingProxyType(
    {
        config.name: config
        for config in (
            _opt("opt-125m", 12, 768, 12),
            _opt("opt-13b", 40, 5120, 40),
            _opt("opt-30b", 48, 7168, 56),
            _opt("opt-66b", 64, 9216, 72),
            _llama_2("llama-2-7b", 32, 4096, (32, 32), 11008),
            _llama_2("llama-2-13b", 40, 5120, (40, 40), 13824),
            _llama_2("llama-2-70b", 80, 8192, (64, 8), 28672),
            # Grattafiori et al., arXiv 2407.21783; the first release, of 8,192 positions.
            ModelConfig(
                LLAMA, 128256, 4096, 32, 32, 8, 128, 14336, 8192,
                activation="silu", norm_eps=1e-5, rope_theta=500000.0, name="llama-3-8b",
            ),
            # The same, 3.1: 131,072 positions by scaled frequencies, which cost nothing.
            ModelConfig(
                LLAMA, 128256, 4096, 32, 32, 8, 128, 14336, 131072,
                activation="silu", norm_eps=1e-5, rope_theta=500000.0, name="llama-3.1-8b",
            ),
            # Qwen2.5 technical report, arXiv 2412.15115; 32,768 positions without YaRN.
            ModelConfig(
                QWEN2, 152064, 5120, 48, 40, 8, 128, 13824, 32768,
                activation="silu", norm_eps=1e-6, rope_theta=1e6, qkv_bias=True, name="qwen2.5-14b",
            ),
            # Jiang et al., arXiv 2401.04088.
            ModelConfig(
                FAMILIES["mixtral"].architecture, 32000, 4096, 32, 32, 8, 128, 14336, 32768,
                activation="silu", norm_eps=1e-5, rope_theta=1e6, experts=Experts(8, 2, 14336), name="mixtral-8x7b",
            ),
            # Qwen3 technical report, arXiv 2505.09388, and the configuration published with the weights.
            ModelConfig(
                FAMILIES["qwen3_moe"].architecture, 151936, 2048, 48, 32, 4, 128, 6144, 40960,
                activation="silu", norm_eps=1e-6, rope_theta=1e6, experts=Experts(128, 8, 768), name="qwen3-30b-a3b",
            ),
            # The configuration published with the weights.
            ModelConfig(
                LLAMA, 49152, 576, 30, 9, 3, 64, 1536, 8192,
                activation="silu", norm_eps=1e-5, rope_theta=100000.0, tied=True, name="smollm2-135m",
            ),
        )
    }
)  # fmt: skip


def known_name(config: ModelConfig) -> str:
    """The name of the known model with the same sizes as this one, whatever this one's name; empty where none has."""
    return next((name for name, known in MODELS.items() if _sizes(known) == _sizes(config)), "")


def _sizes(config: ModelConfig) -> dict[str, object]:
    return {**plain_sizes(config), "name": ""}
